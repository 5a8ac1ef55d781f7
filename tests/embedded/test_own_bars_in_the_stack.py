"""``stocks up`` with REPLAY_DATA: the stack replays the user's own bars, and follows the symbols that are in them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stocklib.errors import EmbeddedError
from stocklib.finnhub import Finnhub
from stocklib.settings import Settings, read_settings
from workbench import embedded
from workbench.embedded import replay_server

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, guard: Callable[[Path], None]) -> Iterator[Read]:
    """Settings of a home of the test's own, in which nothing but the replay is embedded."""
    home = tmp_path / "home"
    guard(home)

    def read_own(**more: str) -> Settings:
        elsewhere = {"KAFKA_BROKER": "kafka.example.org:9092", "MINIO_ENDPOINT": "https://s3.example.org"}
        return read_settings(environ={"STOCKS_HOME": str(home), **elsewhere, **more})

    yield read_own
    embedded.down(read_own())


def test_the_stack_follows_the_symbols_of_the_users_own_bars(read: Read, tmp_path: Path) -> None:
    bars = tmp_path / "own.csv"
    bars.write_text(
        "symbol,date,open,high,low,close,volume\n"
        "brk.b,2012-12-13,88,89,87,88.5,1000\nZZZ,2012-12-13,10,12,9,11,500\nBRK.B,2012-12-14,88.5,90,88,89,1000\n"
    )
    own = {"REPLAY_DATA": str(bars)}
    embedded.up(read(**own))
    settings = read(**own)
    assert settings.symbols == ["BRK.B", "ZZZ"]
    assert settings.home in Path(settings.stocks_watchlist).parents
    with Finnhub(settings) as finnhub:
        assert [finnhub.quote(symbol).current_price for symbol in settings.symbols] == [88.5, 11.0]

    # the recorded bars again: the recorded five again
    embedded.up(read())
    assert read().symbols == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert Path(read().stocks_watchlist) == replay_server.SYMBOLS


def test_bars_that_cannot_be_replayed_are_refused_before_anything_starts(read: Read, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"nothing-here\.csv"):
        embedded.up(read(REPLAY_DATA=str(tmp_path / "nothing-here.csv")))
    assert not any(server.alive for server in embedded.status(read()))
