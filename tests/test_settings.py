"""Settings: one order of precedence, one clear error, and no secret on any surface."""

import json
import pickle
from pathlib import Path

import pytest

from stocklib.errors import SettingsError, SymbolError
from stocklib.settings import Secret, describe, read_settings


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
