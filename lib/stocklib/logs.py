"""What our processes log, and how: our own messages in full, those of libraries only when something is wrong.

No line holds a credential: the settings' secrets, and what looks like one in an address, are shown as ``***``, also at
DEBUG, where libraries log the addresses that they call, and in tracebacks.
"""

import logging
import re
import time
from collections.abc import Collection
from typing import TextIO
from urllib.parse import quote, quote_plus, urlsplit

# kafka-python reports as errors what its callers handle
_NOISY = {"kafka": logging.CRITICAL} | dict.fromkeys(
    ("botocore", "aiobotocore", "s3fs", "urllib3", "papermill", "asyncio", "dbt"), logging.WARNING
)
_LONG = 8
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[^\s,;'\"]+"), r"\1\2***"),
    # up to the last @: a password may hold one
    (re.compile(r"(://)[^/\s]+@"), r"\1***@"),
    # a parameter of an address: ?token=, &X-Amz-Signature=, &sig= (Azure), &crumb= (Yahoo)
    (
        re.compile(
            r"(?i)([?&][\w.~%-]*(?:token|secret|passw|key|sig|credential|crumb|auth|code)[\w.~%-]*=)[^\s&#'\"]+"
        ),
        r"\1***",
    ),
    (
        re.compile(
            r"(?i)\b(token|password|passphrase|secret|api_?key|signature|credential|authorization)(\s*[=:]\s*['\"]?)"
            r"[^\s&,;'\"]+"
        ),
        r"\1\2***",
    ),
)


def write_log(stream: TextIO, *, level: str, secrets: Collection[str] = ()) -> None:
    """Log to a stream from ``level`` on, without ``secrets``; at DEBUG the libraries' messages too."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Scrubbed(secrets))
    logging.basicConfig(level=level, handlers=[handler])
    if level != "DEBUG":
        for name, quiet in _NOISY.items():
            logging.getLogger(name).setLevel(quiet)


def hide_secrets(text: str, secrets: Collection[str] = ()) -> str:
    """Return the text without these secrets, and without what looks like one.

    >>> hide_secrets("GET https://me:mine@host.example/quote?symbol=AAPL&token=abc HTTP/1.1")
    'GET https://***@host.example/quote?symbol=AAPL&token=*** HTTP/1.1'
    >>> hide_secrets("the key is abcdef", ["abcdef"])
    'the key is ***'
    """
    return _hide(text, _any_of(secrets))


class _Scrubbed(logging.Formatter):
    """Formats a log line, and the traceback below it, without a credential."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._known = _any_of(secrets)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return this machine's time, with its zone."""
        return f"{super().formatTime(record, datefmt)} {time.strftime('%Z', time.localtime(record.created))}"

    def format(self, record: logging.LogRecord) -> str:
        return _hide(super().format(record), self._known)


def _hide(text: str, known: "re.Pattern[str]") -> str:
    text = known.sub("***", text)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _any_of(secrets: Collection[str]) -> "re.Pattern[str]":
    """Return a pattern of the secrets as a text may hold them: as they are, quoted in an address, an address's path."""
    plain = {secret for secret in secrets if secret}
    paths = {path for secret in plain if "://" in secret and len(path := urlsplit(secret).path) > 1}
    spelt = plain | paths | {quote(secret, safe="") for secret in plain} | {quote_plus(secret) for secret in plain}
    # a short one, such as "any" for a replay that takes any key, may be part of an ordinary word
    whole = {one: re.escape(one) if len(one) >= _LONG else rf"(?<!\w){re.escape(one)}(?!\w)" for one in spelt}
    return re.compile("|".join(whole[one] for one in sorted(spelt, key=len, reverse=True)) or r"(?!)")
