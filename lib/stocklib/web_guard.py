"""Which requests a small HTTP server of ours answers: those of programs and of its own pages, not those of other sites.

The headers of a request in, the reason to refuse it or None out. A web page of anybody's, open in a browser of this
machine, can send requests to loopback and to every address that the machine reaches. Three headers give them away,
which scripts cannot set: ``Origin`` and ``Sec-Fetch-Site`` name another site, and ``Host`` is a stranger's name where
that name has come to mean our address (DNS rebinding).
"""

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit


def refuse_page(headers: Mapping[str, str], *, names: Collection[str] = ()) -> str | None:
    """Return why a request is refused, or None: one sentence, for an answer with status 403.

    Of ``headers``, the keys are spelt as below. ``names`` are the names and addresses by which the server is asked,
    besides those of loopback.

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
        return (
            f"this server is not called {_shown(host)}: ask for it as 127.0.0.1, or by a name that it was started with"
        )
    if origin is not None and origin.lower() not in {f"{scheme}://{host}".lower() for scheme in ("http", "https")}:
        return f"a page of {_shown(origin)} sent this request: only programs and this server's own pages are answered"
    if site not in (None, "same-origin", "none"):
        return "a page of another site sent this request: only programs and this server's own pages are answered"
    return None


def is_loopback(name: str) -> bool:
    """Whether a name or an address means this machine, reached by itself alone."""
    name = name.lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _name_of(host: str) -> str | None:
    """The name in a Host header, in small letters and without its port; None where it is not that of a host."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and parts.username is None else None


def _shown(text: str | None) -> str:
    """A header as it may stand in an answer."""
    return "".join(letter for letter in (text or "nothing")[:100] if " " <= letter <= "~")
