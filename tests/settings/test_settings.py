"""Settings: one order of precedence, one clear error, and no secret on any surface."""

import codecs
import json
import pickle
from pathlib import Path

import pytest
from mirrors import ROOT

from finnhub_replay import made_market, replay_symbols
from stocklib.env_file import hint_for, remarks
from stocklib.errors import SettingsError, StocksError, SymbolError
from stocklib.pipeline.transform import run_dbt
from stocklib.reference_data import check_sectors, read_symbol_changes
from stocklib.settings import Secret, describe, project_root, read_settings
from workbench.demo import make_market


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project of its own, so that the developer's .env plays no part."""
    (tmp_path / "dbt_stocks").mkdir()
    (tmp_path / "dbt_stocks" / "dbt_project.yml").touch()
    (tmp_path / "config" / "watchlists").mkdir(parents=True)
    (tmp_path / "config" / "stock_symbols.json").write_text('{"symbols": ["AAPL", "brk.b", "AAPL"]}')
    (tmp_path / "config" / "watchlists" / "crypto.json").write_text('{"symbols": ["COIN", "MSTR"]}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_embedded_stack(project: Path) -> None:
    home = project / "home"
    home.mkdir()
    (home / "embedded.env").write_text("KAFKA_BROKER=embedded:1\nKAFKA_TOPIC=embedded\nKAFKA_GROUP=embedded\n")
    (project / ".env").write_text(f"STOCKS_HOME={home}\nKAFKA_BROKER=dotenv:2\nKAFKA_TOPIC=dotenv\n")
    settings = read_settings(environ={"KAFKA_BROKER": "environment:3"})
    assert (settings.kafka_broker, settings.kafka_topic, settings.kafka_group) == (
        "environment:3",
        "dotenv",
        "embedded",
    )
    assert settings.minio_bucket == "bronze-transactions"
    assert settings.origins["KAFKA_TOPIC"] == ".env"


def test_nothing_configured_means_the_demo(project: Path) -> None:
    settings = read_settings(environ={})
    assert settings.demo
    assert settings.home == project / ".stocks" / "demo"


def test_a_dotenv_that_sets_anything_is_a_project_of_ones_own(project: Path) -> None:
    (project / ".env").write_text("HISTORY_SOURCE=yfinance\n")
    settings = read_settings(environ={})
    assert not settings.demo
    assert settings.history_source == "yfinance"
    assert settings.home == project / ".stocks"


def test_bars_of_ones_own_are_replayed_outside_the_demo(project: Path) -> None:
    assert not read_settings(environ={"REPLAY_DATA": "mine.csv"}).demo
    assert read_settings(demo=True, environ={"REPLAY_DATA": "mine.csv"}).replay_data == ""


def test_the_demo_reads_neither_dotenv_nor_service_settings(project: Path) -> None:
    (project / ".env").write_text("KAFKA_BROKER=prod:9092\nSNOWFLAKE_ACCOUNT=prod\nFINNHUB_API_KEY=livekey\n")
    environ = {
        "MINIO_ENDPOINT": "https://s3.example.org",
        "STOCKS_WAREHOUSE": "snowflake",
        "SNOWFLAKE_ACCOUNT": "prod",
        "FINNHUB_API_KEY": "livekey",
        "POLL_SECONDS": "60",
        "STOCKS_HOME": "/somewhere/else",
    }
    settings = read_settings(demo=True, environ=environ)
    assert settings.home == project / ".stocks" / "demo"
    assert settings.warehouse == "local"
    assert settings.finnhub_calls_per_minute == 0
    for name in ("KAFKA_BROKER", "MINIO_ENDPOINT", "FINNHUB_BASE_URL"):
        assert "127.0.0.1" in str(settings.values[name])
    assert not settings.finnhub_api_key
    assert not settings.snowflake_account


def test_the_demo_takes_a_log_level_and_a_port_of_metrics(project: Path) -> None:
    settings = read_settings(demo=True, environ={"STOCKS_LOG": "warning", "METRICS_PORT": "9101"})
    assert (settings.stocks_log, settings.metrics_port) == ("WARNING", 9101)
    assert settings.origins["METRICS_PORT"] == "environment"
    # and where nothing else is configured, which is the demo's home too
    assert read_settings(environ={"METRICS_PORT": "9101"}).metrics_port == 9101
    assert read_settings(environ={"METRICS_PORT": "9101"}).demo


def test_a_demos_home_with_bars_of_its_own_replays_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_DEMO_HOME", str(project / "today"))
    assert read_settings(demo=True).replay_data == ""
    make_market()
    settings = read_settings(demo=True)
    assert replay_symbols(Path(settings.replay_data)) == sorted(made_market.made_companies().companies)
    assert settings.origins["REPLAY_DATA"] == "demo"


def test_the_kernel_of_a_demo_reads_the_demos_settings(project: Path) -> None:
    environ = {"STOCKS_DEMO": "1", "STOCKS_DEMO_HOME": str(project / "elsewhere"), "KAFKA_BROKER": "prod:9092"}
    settings = read_settings(environ=environ)
    assert settings.demo
    assert settings.home == project / "elsewhere"


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("KAFKA_PARTITIONS", "many", "a number"),
        ("KAFKA_PARTITIONS", "0", "1 or more"),
        ("POLL_SECONDS", "-1", "0 or more"),
        ("POLL_SECONDS", "nan", "0 or more"),
        ("HISTORY_SOURCE", "bloomberg", "finnhub, yfinance"),
        ("MINIO_ENDPOINT", "localhost:9000", "http://"),
        ("REPLAY_SPEED", "5000", "1 to 3600"),
    ],
)
def test_a_malformed_setting_is_one_error_that_names_it(project: Path, name: str, value: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        read_settings(environ={name: value, "STOCKS_HOME": "x"})
    assert hint in str(raised.value)
    assert "the environment" in str(raised.value)


def test_a_missing_setting_says_where_to_set_it(project: Path) -> None:
    with pytest.raises(SettingsError, match=r"FINNHUB_API_KEY is not set.*\.env"):
        read_settings(environ={"STOCKS_HOME": "x"}).require("finnhub_api_key")


def test_a_secret_shows_nowhere(project: Path) -> None:
    settings = read_settings(environ={"FINNHUB_API_KEY": "s3cr3t-value", "SNOWFLAKE_PASSWORD": "s3cr3t-value"})
    assert settings.finnhub_api_key.reveal() == "s3cr3t-value"
    shown = [repr(settings), str(settings), f"{settings.finnhub_api_key}", repr(vars(settings)), str(settings.values)]
    assert not [text for text in shown if "s3cr3t" in text]
    with pytest.raises(TypeError):
        pickle.dumps(Secret("s3cr3t-value"))


def test_symbols_come_from_the_chosen_watchlist_once_each(project: Path) -> None:
    assert read_settings(environ={"STOCKS_HOME": "x"}).symbols == ["AAPL", "BRK.B"]
    assert read_settings(environ={"STOCKS_WATCHLIST": "crypto", "STOCKS_HOME": "x"}).symbols == ["COIN", "MSTR"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        '["AAPL"]',
        '{"symbols": [',
        '{"symbols": "AAPL"}',
        '{"symbols": [5]}',
        "[" * 100_000,
        f'{{"n": {"9" * 5000}}}',
    ],
)
def test_a_watchlist_that_is_none_is_one_sentence_that_names_its_file(project: Path, content: str) -> None:
    path = project / "config" / "watchlists" / "crypto.json"
    path.write_text(content)
    with pytest.raises(StocksError) as raised:
        read_settings(environ={"FINNHUB_API_KEY": "k", "STOCKS_WATCHLIST": "crypto"}).symbols  # noqa: B018 - raises
    assert str(raised.value).startswith(f"{path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["config/sectors.csv", "dbt_stocks/models/gold.yml"])
def test_dbt_is_not_asked_to_read_a_file_of_another_encoding(project: Path, name: str) -> None:
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("symbol,sector,industry\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=f"{name} is saved as UTF-16"):
        run_dbt(read_settings(environ={}), ["parse"])


def test_an_unknown_watchlist_names_those_that_exist(project: Path) -> None:
    with pytest.raises(SettingsError, match="crypto"):
        _ = read_settings(environ={"STOCKS_WATCHLIST": "nope", "STOCKS_HOME": "x"}).symbols


@pytest.mark.parametrize("content", ["", "{", "[]", '{"symbols": []}', '{"symbols": "AAPL"}', "\x00"])
def test_a_broken_symbols_file_is_one_clear_error(project: Path, content: str) -> None:
    (project / "config" / "stock_symbols.json").write_text(content)
    with pytest.raises(SettingsError, match=r"stock_symbols\.json"):
        _ = read_settings(environ={"STOCKS_HOME": "x"}).symbols


@pytest.mark.parametrize("symbol", ["'; drop table", "", "A B", "x" * 40, 7, None, "AAPL\n;"])
def test_a_malformed_symbol_is_one_clear_error(project: Path, symbol: object) -> None:
    (project / "config" / "stock_symbols.json").write_text(json.dumps({"symbols": ["AAPL", symbol]}))
    with pytest.raises(SymbolError, match="not a stock symbol"):
        _ = read_settings(environ={"STOCKS_HOME": "x"}).symbols


def test_every_setting_is_described_and_reads_its_own_default(project: Path) -> None:
    settings = read_settings(environ={"STOCKS_HOME": "x"})
    assert {name for name, _, _ in describe()} == set(settings.values)


# How editors save the same text: Notepad's and Excel's byte order mark, Windows' line ends, those of an old Mac.
SAVED = {
    "with a byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "with two marks": lambda text: 2 * codecs.BOM_UTF8 + text.encode(),
    "with a mark and CRLF": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
    "with CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "with CR": lambda text: text.replace("\n", "\r").encode(),
}
UNREADABLE = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "Latin-1": lambda text: (text.rstrip() + "\u00e9\n").encode("latin-1"),
}
# Each file that a user edits under config/, and what of the settings reads it.
CONFIG = {
    ".env": ("KAFKA_GROUP=mine\nPOLL_SECONDS=20\n", lambda: read_settings(environ={}).kafka_group),
    "config/stock_symbols.json": ('{"symbols": ["KO", "ko"]}\n', lambda: read_settings(environ={}).symbols),
    "config/symbol_changes.csv": (
        "old,new,date\nFB,META,2022-06-09\n",
        lambda: [change.new for change in read_symbol_changes(project_root())],
    ),
    "config/sectors.csv": ("symbol,sector,industry\nKO,A,B\n", lambda: check_sectors(project_root())),
}
MEANT = {".env": "mine", "config/stock_symbols.json": ["KO"], "config/symbol_changes.csv": ["META"]}


@pytest.mark.parametrize("name", CONFIG)
@pytest.mark.parametrize("how", SAVED)
def test_a_config_file_means_the_same_however_an_editor_saved_it(project: Path, name: str, how: str) -> None:
    text, read = CONFIG[name]
    (project / name).write_bytes(SAVED[how](text))
    assert read() == MEANT.get(name)


@pytest.mark.parametrize("name", CONFIG)
@pytest.mark.parametrize("how", UNREADABLE)
def test_a_config_file_in_another_encoding_is_one_sentence(project: Path, name: str, how: str) -> None:
    text, read = CONFIG[name]
    (project / name).write_bytes(UNREADABLE[how](text))
    with pytest.raises(SettingsError, match=r"save the file as UTF-8") as raised:
        read()
    assert str(project / name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_dbt_reads_the_same_files_with_a_mark_and_other_line_ends(tmp_path: Path) -> None:
    from dbt_common.clients.agate_helper import from_csv

    path = tmp_path / "sectors.csv"
    path.write_bytes(SAVED["with a mark and CRLF"]("symbol,sector,industry\nKO,Staples,Drinks\n"))
    table = from_csv(str(path), text_columns=["symbol", "sector", "industry"])
    assert (table.column_names, [tuple(row) for row in table.rows]) == (
        ("symbol", "sector", "industry"),
        [("KO", "Staples", "Drinks")],
    )


@pytest.mark.parametrize("name", ["symbol_changes.csv", "sectors.csv"])
def test_a_header_that_is_another_is_shown(project: Path, name: str) -> None:
    (project / "config" / name).write_text("old;new;date\n")
    with pytest.raises(SettingsError, match=r"must begin with the line .*; it begins with 'old;new;date'"):
        (read_symbol_changes if name == "symbol_changes.csv" else check_sectors)(project_root())


def test_a_missing_key_of_the_demo_comes_from_its_stack(project: Path) -> None:
    with pytest.raises(SettingsError, match=r"the embedded stack is not started.*stocks up") as raised:
        read_settings(environ={}).require("minio_access_key")
    assert ".env" not in str(raised.value)
    own = {"STOCKS_HOME": "x", "MINIO_ENDPOINT": "http://mine:9000"}
    with pytest.raises(SettingsError, match=r"put it into .env \(see .env.example\) or into the environment$"):
        read_settings(environ=own).require("minio_access_key")


ENV_FILE = """# comments are fine
export FINHUB_API_KEY=s3cr3t
MINIO_ROOT_USER=of-compose
KAFKA-BROKERS=a:9092
poll_seconds=20

s3cr3t: no assignment
KAFKA_GROUP
HISTORY_SORCE='yfinance'
HTTP_PROXY=http://proxy
COMPOSE_PROJECT_NAME=mine
FINNHUB_API_KEY＝s3cr3t
​KAFKA_TOPIC=mine
MINIO_SECRET_KEY:s3cr3t
MIIEs3cr3tAQEF==
"""


def test_what_in_dotenv_has_no_effect_is_named_with_its_line(project: Path) -> None:
    (project / ".env").write_text(ENV_FILE)
    (project / "docker-compose.yml").write_text("user: ${MINIO_ROOT_USER:?run make env}")
    names = [name for name, _, _ in describe()]
    found = remarks(project / ".env", settings=names, compose=project / "docker-compose.yml")
    assert found.wrong == (
        "line 2: FINHUB_API_KEY is not a setting. Did you mean FINNHUB_API_KEY?",
        "line 4: KAFKA-BROKERS is not a setting. Did you mean KAFKA_BROKER?",
        "line 5: poll_seconds is not a setting. Did you mean POLL_SECONDS?",
        "line 7 is not NAME=VALUE and has no effect",
        "line 8: KAFKA_GROUP has no = and no effect",
        "line 9: HISTORY_SORCE is not a setting. Did you mean HISTORY_SOURCE?",
        "line 12 is not NAME=VALUE and has no effect. Did you mean FINNHUB_API_KEY?",
        "line 13 is not NAME=VALUE and has no effect. Did you mean KAFKA_TOPIC?",
        "line 14 is not NAME=VALUE and has no effect. Did you mean MINIO_SECRET_KEY?",
        "line 15 begins with no name of a setting",
    )
    assert found.others == ("HTTP_PROXY",)
    assert "s3cr3t" not in str(found)


@pytest.mark.parametrize("name", [name for name, _, _ in describe()])
def test_every_setting_is_known_with_a_letter_left_out_or_doubled(name: str) -> None:
    names = [name for name, _, _ in describe()]
    middle = name.index("_") - 1
    for wrong in (name[:middle] + name[middle + 1 :], name[:middle] + name[middle] + name[middle:], name.lower()):
        assert hint_for(wrong, names) == f". Did you mean {name}?"


def test_a_misspelt_setting_fails_mypy(tmp_path: Path) -> None:
    from mypy import api

    told = "from stocklib.settings import Settings\n\ndef told(settings: Settings) -> int:\n    return settings.{}\n"
    for name, status in (("kafka_partitions", 0), ("kafka_partitons", 1)):
        script = tmp_path / f"{name}.py"
        script.write_text(told.format(name))
        where = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
        out, _, done = api.run([*where, "--follow-imports", "silent", str(script)])
        assert (done, "kafka_partitons" in out) == (status, status == 1)
