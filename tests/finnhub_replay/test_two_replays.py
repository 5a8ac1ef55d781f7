"""Two replays that are asked the same answer the same, byte for byte; so does one that is asked again."""

from datetime import date
from http.client import HTTPConnection
from urllib.parse import urlsplit

from conftest import StartReplay

from finnhub_replay.path import session_path
from finnhub_replay.tape import Bar
from stocklib.settings import Settings

SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT", "NOBODY")
OTHERS = (
    "/stock/market-status?exchange=US",
    "/stock/profile2?symbol=AAPL",
    "/stock/candle?symbol=FB&resolution=D&from=1325376000&to=1356998400",
    "/stock/candle?symbol=IBM&resolution=1&from=1355400000&to=1356998400",
)


def told(settings: Settings) -> list[tuple[str | None, bytes]]:
    """The virtual time and the body of each answer, from ten seconds before the open to two minutes after it."""
    connection = HTTPConnection(urlsplit(settings.finnhub_base_url).netloc, timeout=10)
    paths = [f"/quote?symbol={symbol}" for _ in range(20) for symbol in SYMBOLS]
    answers = []
    for path in [*paths, *OTHERS]:
        connection.request("GET", f"/api/v1{path}", headers={"X-Finnhub-Token": "replay-key"})
        answer = connection.getresponse()
        answers.append((answer.headers["Date"], answer.read()))
    connection.close()
    return answers


def test_two_stepped_replays_answer_the_same(replay: StartReplay) -> None:
    one, other = (told(replay(start="2012-12-14T09:29:50")) for _ in range(2))
    assert one == other
    assert one[-1][0] == "Fri, 14 Dec 2012 14:31:50 GMT"
    assert len({body for _, body in one}) > 60


def test_a_path_is_this_one_wherever_it_is_made() -> None:
    """What notebooks and reports show of a replayed session would change with it: a new numpy must not move it."""
    path = session_path(Bar("AAPL", date(2012, 12, 14), 514.75, 518.13, 505.58, 509.79, 1), 23_400)
    seconds = [0, 60, 3_600, 10_000, 20_000, 23_400]
    assert path.price[seconds].tolist() == [514.75, 514.56, 516.03, 508.11, 506.14, 509.79]
