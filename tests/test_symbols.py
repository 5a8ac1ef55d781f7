"""``stocks symbols``: a symbol is added when the source knows it, and named with what was probably meant when not.

The source is a real replay server; the config is a copy of the project's.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import StartReplay
from mirrors import ROOT as REPOSITORY

from stocklib.errors import SettingsError
from stocklib.pipeline.history.loaded_history import read_known
from stocklib.pipeline.loading import load
from stocklib.reference_data import read_sectors, write_sector
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse
from stocklib.watchlists import add_symbol, read_symbols, remove_symbol
from workbench import symbols
from workbench.cli import main

BARS = "symbol,date,open,high,low,close,volume\n"
COMPANIES = "ticker,name\nNVDA,NVIDIA Corp\nBRK.B,Berkshire Hathaway Inc\nMSFT,Microsoft Corp\n"
MINE = '{\n  "symbols": [\n    "MSFT"\n  ]\n}'


def own_bars(folder: Path) -> Path:
    """Bars of two sessions of 2026, at its prices."""
    prices = {"NVDA": 181.36, "BRK.B": 512.4, "MSFT": 485.5, "BINANCE:BTCUSDT": 91_305.27}
    rows = [
        f"{symbol},{day},{price},{price * 1.01},{price * 0.99},{price},50000000\n"
        for symbol, price in prices.items()
        for day in ("2026-11-24", "2026-11-25")
    ]
    path = folder / "own.csv"
    path.write_text(BARS + "".join(rows))
    (folder / "companies.csv").write_text(COMPANIES)
    return path


@pytest.fixture
def config(project: Path) -> Path:
    """A copy of the project's config, with a list of one symbol."""
    shutil.copytree(REPOSITORY / "config", project / "config")
    (project / "config" / "watchlists" / "mine.json").write_text(MINE)
    return project / "config"


@pytest.fixture
def mine(config: Path, replay: StartReplay, tmp_path: Path) -> Settings:
    """Settings that follow this list, over a replay of own bars after their last session."""
    options = ["--data", str(own_bars(tmp_path))]
    settings = replay(start="2026-11-25T17:00:00", options=options, environ={"STOCKS_WATCHLIST": "mine"})
    return replace(settings, root=config.parent)


def add(settings: Settings, *names: str, **more: str) -> tuple[list[str], list[str], list[str]]:
    said: list[str] = []
    added, troubles = symbols.add(settings, names, say=said.append, **more)
    return added, troubles, said


def test_what_the_source_knows_is_added_and_one_bad_symbol_does_not_stop_the_others(
    mine: Settings, config: Path
) -> None:
    added, troubles, said = add(mine, "nvda", "MFST", "apple pie", "BRK-B", "BRK.B", "BINANCE:BTCUSDT")
    assert added == ["NVDA", "BRK.B", "BINANCE:BTCUSDT"]
    assert troubles == [
        "replay knows no symbol MFST. Did you mean MSFT?",
        "'apple pie' is not a stock symbol: letters, digits and . - : = _ ^ only, 32 at most",
        "replay knows no symbol BRK-B. Did you mean BRK.B (BERKSHIRE HATHAWAY INC)?",
    ]
    assert said[:2] == [
        "NVDA (NVIDIA CORP) is added to config/watchlists/mine.json",
        "    sector: Information Technology / Semiconductors, of config/sectors.csv",
    ]
    assert said[3] == "    sector: Unknown, unless its profile names an industry; --sector and --industry name them"
    path = config / "watchlists" / "mine.json"
    assert (
        path.read_text() == '{\n  "symbols": [\n    "MSFT",\n    "NVDA",\n    "BRK.B",\n    "BINANCE:BTCUSDT"\n  ]\n}'
    )
    assert mine.symbols == ["MSFT", *added]


def test_a_second_add_changes_nothing_and_a_sector_that_is_given_is_written(mine: Settings, config: Path) -> None:
    add(mine, "NVDA", "BRK.B")
    before = {path: path.read_bytes() for path in config.rglob("*.*") if path.is_file()}
    assert add(mine, "NVDA", "BRK.B")[2][0] == "NVDA (NVIDIA CORP) is already in config/watchlists/mine.json"
    assert {path: path.read_bytes() for path in before} == before
    add(mine, "BRK.B", sector="Financials", industry="Multi-Sector Holdings")
    was = (REPOSITORY / "config" / "sectors.csv").read_text().splitlines()
    now = (config / "sectors.csv").read_text().splitlines()
    assert [row for row in now if row not in was] == ["BRK.B,Financials,Multi-Sector Holdings"]
    assert now[1:] == sorted(now[1:])


@pytest.mark.stack
def test_the_verb_fetches_the_bars_of_what_it_adds_and_of_nothing_else(
    mine: Settings, service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.root)
    environ = {
        **service_environ,
        "STOCKS_WATCHLIST": "mine",
        "FINNHUB_BASE_URL": mine.finnhub_base_url,
        "FINNHUB_API_KEY": mine.finnhub_api_key.reveal(),
        "CLOSE_SETTLE_SECONDS": "0",
    }
    done = CliRunner().invoke(main, ["symbols", "add", "NVDA", "ZZZZ"], env=environ)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("replay knows no symbol ZZZZ\n")
    assert "1 symbols from replay: landed 2 bars" in done.stdout
    known = read_known(open_warehouse(read_settings(environ=environ)))
    assert known.symbols == {}
    load(read_settings(environ=environ))
    known = read_known(open_warehouse(read_settings(environ=environ)))
    assert {symbol: sorted(map(str, held.bars)) for symbol, held in known.symbols.items()} == {
        "NVDA": ["2026-11-24", "2026-11-25"]
    }
    again = CliRunner().invoke(main, ["symbols", "add", "nvda"], env=environ)
    assert (again.exit_code, "it had nothing new" in again.stdout) == (0, True)
    removed = CliRunner().invoke(main, ["symbols", "remove", "MSFT", "IBM"], env=environ)
    assert removed.exit_code == 1
    shown = CliRunner().invoke(main, ["symbols", "list", "--json"], env=environ)
    assert [row["symbol"] for row in json.loads(shown.stdout)] == ["NVDA"]


def test_a_removed_symbol_leaves_the_list_and_a_typo_is_named(mine: Settings) -> None:
    add(mine, "NVDA", "BRK.B")
    said: list[str] = []
    assert symbols.remove(mine, ["nvda", "BRKB"], say=said.append) == [
        "BRKB is not in config/watchlists/mine.json. Did you mean BRK.B?"
    ]
    assert said == [
        "NVDA is removed from config/watchlists/mine.json; its history stays, in the lake and in the warehouse"
    ]
    assert mine.symbols == ["MSFT", "BRK.B"]


def test_a_search_finds_names_and_symbols(mine: Settings) -> None:
    assert symbols.search(mine, "berkshire")["symbol"].tolist() == ["BRK.B"]
    (row,) = symbols.search(mine, "micro").to_dict("records")
    assert row == {"symbol": "MSFT", "name": "MICROSOFT CORP", "kind": "Common Stock", "followed": "yes"}
    assert symbols.search(mine, "zebra").empty


def test_a_list_that_a_replay_made_is_not_edited(mine: Settings, config: Path) -> None:
    before = sorted((path, path.read_bytes()) for path in config.rglob("*.json"))
    demo = read_settings(demo=True, environ={"STOCKS_DEMO_HOME": str(mine.home)})
    with pytest.raises(SettingsError, match=r"the demo follows the symbols of the bars .*\.env.*REPLAY_DATA"):
        add(replace(demo, root=mine.root), "NVDA")
    replayed = replace(mine, origins={**mine.origins, "STOCKS_WATCHLIST": "embedded.env"})
    with pytest.raises(SettingsError, match=r"the bars that the replay serves .*REPLAY_DATA"):
        symbols.remove(replayed, ["MSFT"], say=print)
    assert sorted((path, path.read_bytes()) for path in config.rglob("*.json")) == before


def test_files_that_cannot_be_read_are_named_before_anything_is_written(mine: Settings, config: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no watchlist .*minne.json.* Did you mean mine\?"):
        add(replace(mine, stocks_watchlist="minne"), "NVDA")
    with pytest.raises(SettingsError, match=r"there is no watchlist"):
        symbols.remove(replace(mine, stocks_watchlist="minne"), ["NVDA"], say=print)
    (config / "sectors.csv").write_text("symbol;sector;industry\n")
    with pytest.raises(SettingsError, match=r"sectors.csv must begin with the line symbol,sector,industry"):
        add(mine, "NVDA")
    assert mine.symbols == ["MSFT"]


def test_the_list_shows_what_the_warehouse_holds(gold: Settings, config: Path) -> None:
    (config / "watchlists" / "five.json").write_text('{"symbols": ["IBM", "NVDA", "FB"]}')
    found, trouble = symbols.listed(replace(gold, root=config.parent, stocks_watchlist="five"))
    assert trouble == ""
    assert found["symbol"].tolist() == ["IBM", "NVDA", "FB"]
    assert found["sector"].tolist() == ["Information Technology"] * 3
    assert found["company"].tolist()[0].startswith("International")
    assert found["bars"].tolist()[1] == 0
    assert found.loc[0, "last_bar"] == found.loc[2, "last_bar"] == "2012-12-14"


def test_a_list_is_shown_before_anything_is_published(mine: Settings) -> None:
    found, trouble = symbols.listed(mine)
    assert found["symbol"].tolist() == ["MSFT"]
    assert found["sector"].tolist() == ["Information Technology"]
    assert "nothing is published yet" in trouble


@pytest.mark.parametrize(
    ("before", "added", "removed"),
    [
        ('{"symbols": ["A", "B"]}', '{"symbols": ["A", "B", "C"]}', '{"symbols": ["B", "C"]}'),
        ('{"symbols":["A"], "n": 1}\n', '{"symbols":["A", "C"], "n": 1}\n', '{"symbols":["C"], "n": 1}\n'),
        (
            '\ufeff{\r\n\t"symbols": [\r\n\t\t"B",\r\n\t\t"a",  "A"\r\n\t]\r\n}',
            '\ufeff{\r\n\t"symbols": [\r\n\t\t"B",\r\n\t\t"a",  "A",  "C"\r\n\t]\r\n}',
            '\ufeff{\r\n\t"symbols": [\r\n\t\t"B",\r\n\t\t"C"\r\n\t]\r\n}',
        ),
    ],
)
def test_a_lists_layout_stays(tmp_path: Path, before: str, added: str, removed: str) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(before.encode())
    assert add_symbol(path, "C")
    assert path.read_bytes().decode() == added
    assert not add_symbol(path, "C")
    assert remove_symbol(path, "A")
    assert path.read_bytes().decode() == removed
    assert not remove_symbol(path, "A")


def test_a_symbol_that_is_written_with_an_escape_is_found(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"symbols": ["A\\u0042", "C"]}')
    assert remove_symbol(path, "AB")
    assert read_symbols(path) == ["C"]


@pytest.mark.parametrize("change", [add_symbol, remove_symbol])
def test_a_list_that_cannot_be_edited_safely_stays(tmp_path: Path, change: Callable[[Path, str], bool]) -> None:
    path = tmp_path / "list.json"
    content = '{"old": {"symbols": []}, "symbols": ["IBM", "KO"]}'
    path.write_text(content)
    with pytest.raises(SettingsError, match='holds "symbols" 2 times'):
        change(path, "KO" if change is remove_symbol else "AAPL")
    assert path.read_text() == content


def test_the_only_symbol_of_a_list_stays(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"symbols": ["IBM"]}')
    with pytest.raises(SettingsError, match="IBM is the only symbol"):
        remove_symbol(path, "IBM")
    assert read_symbols(path) == ["IBM"]


@pytest.mark.parametrize("before", ["", '\ufeffsymbol,sector,industry\r\nKO,Staples,"Soft, drinks"\r\n'])
def test_a_sector_is_written_as_excel_saved_the_file(tmp_path: Path, before: str) -> None:
    path = tmp_path / "config" / "sectors.csv"
    path.parent.mkdir()
    if before:
        path.write_bytes(before.encode())
    write_sector(tmp_path, "IBM", "Information Technology", "IT Consulting")
    write_sector(tmp_path, "KO", "Consumer Staples", "Soft, drinks")
    assert read_sectors(tmp_path) == {
        "IBM": ("Information Technology", "IT Consulting"),
        "KO": ("Consumer Staples", "Soft, drinks"),
    }
    end = "\r\n" if before else "\n"
    mark = "\ufeff" if before else ""
    assert path.read_bytes().decode() == mark + end.join(
        ["symbol,sector,industry", "IBM,Information Technology,IT Consulting", 'KO,Consumer Staples,"Soft, drinks"', ""]
    )
