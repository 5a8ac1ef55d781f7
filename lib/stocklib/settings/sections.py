"""Every setting, by the system that it is about: name, type, default and what it is for.

A setting is a typed field in lower case, so that a misspelt name fails mypy; operators know it in upper case. The order
is that of ``.env.example``. A new setting is one line here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar, cast

from stocklib.settings.parsing import (
    address,
    count,
    credits,
    cron,
    day,
    identifier,
    one_of,
    port,
    positive,
    seconds,
    speed,
    text,
)
from stocklib.settings.secret import Secret

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a setting before it has a value: its default as text, its parser, what it is for."""

    default: str
    parse: Callable[[str], Any]
    help: str


def _setting(default: str, parse: Callable[[str], T], help: str) -> T:
    """Declare a field. The value itself is filled in by ``read_settings``."""
    return cast(T, field(metadata={"setting": Setting(default, parse, help)}))


def _upper(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: parse(value).upper()


def _or_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: value and parse(value)


@dataclass(frozen=True, kw_only=True, repr=False)
class SourceSettings:
    """Where prices come from, and how often they are asked for."""

    finnhub_api_key: Secret = _setting("", Secret, "your key from https://finnhub.io; not needed for the demo")
    finnhub_base_url: str = _setting("https://finnhub.io/api/v1", address, "where Finnhub, or a replay server, answers")
    finnhub_ws_url: str = _setting("wss://ws.finnhub.io", address, "where trades are streamed from")
    finnhub_ws_symbols: int = _setting("50", positive, "symbols that the plan's websocket takes")
    finnhub_calls_per_minute: int = _setting("60", count, "rate budget of the plan; 0 = no limit")
    finnhub_calls_per_second: int = _setting("30", count, "rate budget of every plan; 0 = no limit")
    poll_seconds: float = _setting("15", seconds, "a round of quotes starts this often while the market is open")
    close_settle_seconds: float = _setting("1200", seconds, "a day is final when asked this long after the close")
    history_source: str = _setting("finnhub", one_of("finnhub", "yfinance"), "daily bars, splits, dividends")
    stocks_watchlist: str = _setting(
        "", text, "a name under config/watchlists/, or a path; empty: config/stock_symbols.json"
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class PipelineSettings:
    """How much waits, and how long, before it lands and is loaded."""

    load_seconds: float = _setting("60", seconds, "`stocks load --follow` loads and publishes this often")
    producer_spool_mb: int = _setting(
        "64", count, "quotes wait in so many MB on disk while Kafka is away; 0 = the run ends within a minute of it"
    )
    batch_max_quotes: int = _setting("5000", positive, "a lake object holds at most this many messages")
    batch_max_bytes: int = _setting("16000000", positive, "… or this many bytes before compression")
    batch_max_seconds: float = _setting("60", seconds, "… or what this many seconds brought")


@dataclass(frozen=True, kw_only=True, repr=False)
class KafkaSettings:
    """Kafka: addresses, topics, sign-in."""

    kafka_broker: str = _setting("127.0.0.1:9092", text, "host:port, several with commas")
    kafka_topic: str = _setting("stock-quotes", text, "quotes")
    kafka_trades_topic: str = _setting("stock-trades", text, "trades")
    kafka_dlq_topic: str = _setting("stock-quotes-dlq", text, "messages that are not what they should be")
    kafka_partitions: int = _setting("3", positive, "of a topic that is created")
    kafka_group: str = _setting("bronze-consumer", text, "consumer group")
    kafka_session_timeout_ms: int = _setting("45000", positive, "a consumer silent for this long is replaced")
    kafka_security_protocol: str = _setting(
        "PLAINTEXT", _upper(one_of("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")), "or SSL, SASL_SSL"
    )
    kafka_sasl_mechanism: str = _setting("", text, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str = _setting("", text, "")
    kafka_sasl_password: Secret = _setting("", Secret, "")
    kafka_ssl_cafile: str = _setting("", text, "certificate authority, PEM")


@dataclass(frozen=True, kw_only=True, repr=False)
class LakeSettings:
    """S3: address, keys, buckets."""

    minio_endpoint: str = _setting("http://127.0.0.1:9000", address, "any S3")
    minio_access_key: str = _setting("", text, "")
    minio_secret_key: Secret = _setting("", Secret, "")
    minio_region: str = _setting("us-east-1", text, "")
    minio_bucket: str = _setting("bronze-transactions", text, "the lake")
    minio_artifacts_bucket: str = _setting("artifacts", text, "executed notebooks and reports of scheduled runs")


@dataclass(frozen=True, kw_only=True, repr=False)
class WarehouseSettings:
    """Which warehouse, and how to sign in to Snowflake."""

    stocks_warehouse: str = _setting(
        "auto", one_of("auto", "local", "snowflake"), "auto: Snowflake if its account is set"
    )
    snowflake_account: str = _setting("", text, "organisation-account, as Snowflake's own pages call it")
    snowflake_connection: str = _setting(
        "", text, "a name in ~/.snowflake/connections.toml: it says what is not set here"
    )
    snowflake_user: str = _setting("", text, "")
    snowflake_private_key_path: str = _setting("", text, "key pair sign-in, preferred")
    snowflake_private_key_passphrase: Secret = _setting("", Secret, "of an encrypted key")
    snowflake_token: Secret = _setting("", Secret, "or a programmatic access token")
    snowflake_authenticator: str = _setting(
        "", _or_empty(one_of("externalbrowser")), "or externalbrowser: a person signs in on screen"
    )
    snowflake_password: Secret = _setting("", Secret, "or, where it is still allowed, a password")
    snowflake_role: str = _setting("", text, "empty: the user's own")
    snowflake_warehouse: str = _setting("STOCKS_WH", identifier, "what computes")
    snowflake_database: str = _setting("STOCKS", identifier, "what readers see; beside it …_BUILD, the private version")
    snowflake_schema: str = _setting("PUBLIC", identifier, "of the private database: holds the writer's lock")
    snowflake_host: str = _setting(
        "", text, "another address than the account's own: a private link, or http://host:port"
    )
    snowflake_timeout_seconds: int = _setting("600", positive, "no statement takes longer")
    snowflake_credits_a_day: float = _setting(
        "0", credits, "loads and transforms stop for the day (UTC) when statements have cost this; 0 = no limit"
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class ReplaySettings:
    """Recorded data served as if it were live."""

    replay_start: str = _setting("2012-12-14T09:29:00", text, "New York time at which a replay starts")
    replay_speed: str = _setting("step", speed, "step, or 1 to 3600")
    replay_data: str = _setting("", text, "a CSV or Parquet of your own daily bars; empty: the recorded ones")


@dataclass(frozen=True, kw_only=True, repr=False)
class ScheduleSettings:
    """When Airflow runs what, and whom it tells."""

    schedule_load: str = _setting(
        "*/5 9-17 * * 1-5", cron, "Airflow, New York time: new objects to the warehouse; off = by hand only"
    )
    schedule_daily: str = _setting("0 18 * * 1-5", cron, "Airflow, New York time: the day's bars")
    schedule_reports: str = _setting("45 18 * * 1-5", cron, "Airflow, New York time: analysis notebooks and the report")
    schedule_quality: str = _setting(
        "30 20 * * 1-5", cron, "Airflow, New York time: ledger, freshness, missed schedules"
    )
    schedule_since: date | None = _setting(
        "", day, "Airflow loads each trade date from here on, missed ones too; empty: from now on, without catching up"
    )
    artifacts_url: str = _setting(
        "", text, "where a browser finds the buckets, for links (http://127.0.0.1:9001/browser); empty: s3:// addresses"
    )
    alert_slack_webhook: Secret = _setting("", Secret, "Airflow's alerts go to this incoming webhook")
    alert_email_to: str = _setting("", text, "… and to these addresses, with commas")
    alert_email_from: str = _setting("", text, "sender of the alerts")
    smtp_host: str = _setting("", text, "the mail server of the alerts")
    smtp_port: int = _setting("587", port, "")
    smtp_security: str = _setting("starttls", one_of("starttls", "ssl", "none"), "starttls, ssl or none")
    smtp_user: str = _setting("", text, "")
    smtp_password: Secret = _setting("", Secret, "")


@dataclass(frozen=True, kw_only=True, repr=False)
class MonitoringSettings:
    """What Prometheus can read."""

    metrics_port: int = _setting(
        "0", port, "Prometheus text on 127.0.0.1: each process takes the first free of ten ports from here; 0 = none"
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class PowerBISettings:
    """The semantic model to refresh, and how to sign in."""

    powerbi_tenant_id: str = _setting("", text, "`stocks powerbi-refresh`: the directory")
    powerbi_client_id: str = _setting("", text, "the service principal")
    powerbi_client_secret: Secret = _setting("", Secret, "and its secret")
    powerbi_workspace_id: str = _setting("", text, "the workspace that the model was published to")
    powerbi_dataset_id: str = _setting("", text, "the semantic model")
    powerbi_login_url: str = _setting(
        "https://login.microsoftonline.com", address, "sign-in; another for national clouds"
    )
    powerbi_api_url: str = _setting("https://api.powerbi.com/v1.0/myorg", address, "the REST API")


@dataclass(frozen=True, kw_only=True, repr=False)
class HomeSettings:
    """Where everything is kept, and how much is logged."""

    stocks_home: str = _setting(".stocks", text, "data, logs and runs; relative to the project")
    stocks_log: str = _setting("INFO", _upper(one_of("debug", "info", "warning", "error")), "log level")
