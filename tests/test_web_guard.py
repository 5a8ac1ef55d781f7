"""Which requests our HTTP servers refuse, by the headers that a browser sends and scripts cannot set."""

import pytest

from stocklib.web_guard import is_loopback, refuse_page


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8600"},
        {"Host": "LocalHost"},
        {"Host": "[::1]:8600"},
        {"Host": "127.83.1.9:8600"},
        {"Host": "stocks.localhost:8600"},
        {"Host": "Replay:8600"},
        {"Host": "localhost:8600", "Origin": "http://localhost:8600", "Sec-Fetch-Site": "same-origin"},
        {"Host": "localhost", "Origin": "https://LOCALHOST"},
        # an address that a person typed
        {"Host": "127.0.0.1:8600", "Sec-Fetch-Site": "none"},
    ],
)
def test_programs_and_own_pages_are_answered(headers: dict[str, str]) -> None:
    assert refuse_page(headers, names=["replay"]) is None


@pytest.mark.parametrize(
    "host",
    [
        None, "", ":8600", "rebound.example:8600", "127.0.0.1.rebound.example", "localhost.rebound.example",
        "rebound.example#localhost", "rebound.example/localhost", "localhost@rebound.example", "a@127.0.0.1",
        "127.0.0.1:x", "127.0.0.1,localhost", "[::1", "notlocalhost", "replay.example", "192.0.2.7:8600",
        "0.0.0.0:8600",
    ],
)  # fmt: skip
def test_a_strangers_name_is_refused(host: str | None) -> None:
    said = refuse_page({} if host is None else {"Host": host}, names=["replay"])
    assert said is not None
    assert said.startswith("this server is not called ")


@pytest.mark.parametrize(
    "theirs",
    [
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://news.example"},
        # another server of this machine is another site
        {"Origin": "http://127.0.0.1:8888"},
        {"Origin": "http://localhost:8600"},
        {"Origin": "http://127.0.0.1:8600.news.example"},
        {"Origin": "ftp://127.0.0.1:8600"},
        # pictures, scripts and forms by GET name no origin
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_is_refused(theirs: dict[str, str]) -> None:
    said = refuse_page({"Host": "127.0.0.1:8600", **theirs})
    assert said is not None
    assert "sent this request" in said


def test_what_a_refusal_repeats_is_short_and_printable() -> None:
    said = refuse_page({"Host": "\x1b[2J<b>" + "x" * 9999}) or ""
    assert len(said) < 300
    assert said.isprintable()


def test_a_name_is_loopback_or_not() -> None:
    assert [
        name for name in ("127.0.0.1", "::1", "LOCALHOST", "0.0.0.0", "replay", "10.0.0.1") if is_loopback(name)
    ] == [
        "127.0.0.1",
        "::1",
        "LOCALHOST",
    ]
