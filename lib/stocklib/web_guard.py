"""Which HTTP requests our small servers answer: those of programs and of their own pages, not those of other sites.

The headers of a request in, the reason to refuse it or None out. Any web page in a browser of this machine can send
requests to loopback and to every address that the machine reaches. Three headers, which scripts cannot set, show such a
request: ``Origin`` and ``Sec-Fetch-Site`` name another site, and ``Host`` is a foreign name that resolves to our
address (DNS rebinding).
"""

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit


def refuse_page(headers: Mapping[str, str], *, names: Collection[str] = ()) -> str | None:
    """Return why a request is refused, or None: one sentence, for an answer with status 403.

    The keys of ``headers`` must be spelt as below. ``names`` are the server's names and addresses, in addition to
    loopback.

    >>> refuse_page({"Host": "127.0.0.1:8600"}) is None
    True
    >>> refuse_page({"Host": "replay:8600"}, names=["replay"]) is None
    True
    >>> refuse_page({"Host": "127.0.0.1:8600", "Origin": "https://news.example"})
    "a page of https://news.example sent this request: only programs and this server's own pages are answered"
    """
    host, origin, site = (headers.get(name) for name in ("Host", "Origin", "Sec-Fetch-Site"))
    name = _name_of(host or "")
    if not (name and (is_loopback(name) or name in {known.lower() for known in names})):
        return f"this server is not called {_shown(host)}: use 127.0.0.1, or a name that it was started with"
    if origin is not None and origin.lower() not in {f"{scheme}://{host}".lower() for scheme in ("http", "https")}:
        return f"a page of {_shown(origin)} sent this request: only programs and this server's own pages are answered"
    if site not in (None, "same-origin", "none"):
        return "a page of another site sent this request: only programs and this server's own pages are answered"
    return None


def is_loopback(name: str) -> bool:
    """Return whether a name or an address is loopback."""
    name = name.lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _name_of(host: str) -> str | None:
    """Return the host name in a Host header, in lower case and without its port; None where it is invalid."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises where it is not a number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and parts.username is None else None


def _shown(text: str | None) -> str:
    """Return a header, safe to show in an answer."""
    return "".join(letter for letter in (text or "nothing")[:100] if " " <= letter <= "~")
