"""Every setting, grouped by system: name, type, default and purpose.

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
    """Declaration of a setting: its default as text, its parser, its purpose."""

    default: str
    parse: Callable[[str], Any]
    help: str


def _setting(default: str, parse: Callable[[str], T], help: str) -> T:
    """Declare a field. The value itself is filled in by ``read_settings``."""
    return cast(T, field(metadata={"setting": Setting(default, parse, help)}))


@dataclass(frozen=True, kw_only=True, repr=False)
class Declared:
    """Every setting, a field each."""

    # ── Where prices come from, and how often they are fetched ──
    finnhub_api_key: Secret = _setting("", Secret, "your key from https://finnhub.io; not needed for the demo")
    finnhub_base_url: str = _setting("https://finnhub.io/api/v1", address, "address of Finnhub or a replay server")
    finnhub_ws_url: str = _setting("wss://ws.finnhub.io", address, "address of the websocket for trades")
    finnhub_ws_symbols: int = _setting("50", positive, "symbols that the plan allows on the websocket")
    finnhub_calls_per_minute: int = _setting("60", count, "rate limit of the plan; 0 = no limit")
    finnhub_calls_per_second: int = _setting("30", count, "rate limit of every plan; 0 = no limit")
    poll_seconds: float = _setting(
        "15", seconds, "seconds from one round of quotes to the next while the market is open"
    )
    close_settle_seconds: float = _setting(
        "1200", seconds, "a bar is final when it is fetched this long after the close"
    )
    history_source: str = _setting(
        "finnhub", one_of("finnhub", "yfinance"), "source of daily bars, splits and dividends: finnhub or yfinance"
    )
    stocks_watchlist: str = _setting(
        "", text, "a name under config/watchlists/, or a path; empty: config/stock_symbols.json"
    )

    # ── How many messages wait, and how long, before they land and are loaded ──
    load_seconds: float = _setting(
        "60", seconds, "seconds from one load and publish of `stocks load --follow` to the next"
    )
    producer_spool_mb: int = _setting(
        "64", count, "MB on disk for messages while Kafka is down; 0 = the run ends within a minute of an outage"
    )
    batch_max_quotes: int = _setting("5000", positive, "messages in a lake object, at most")
    batch_max_bytes: int = _setting("16000000", positive, "bytes in a lake object before compression, at most")
    batch_max_seconds: float = _setting("60", seconds, "seconds until a lake object is closed, at most")

    # ── Kafka: addresses, topics, sign-in ──
    kafka_broker: str = _setting("127.0.0.1:9092", text, "host:port; separate several with commas")
    kafka_topic: str = _setting("stock-quotes", text, "topic of quotes")
    kafka_trades_topic: str = _setting("stock-trades", text, "topic of trades")
    kafka_dlq_topic: str = _setting("stock-quotes-dlq", text, "topic of dead letters: malformed messages")
    kafka_partitions: int = _setting("3", positive, "partitions of a new topic")
    kafka_group: str = _setting("bronze-consumer", text, "consumer group")
    kafka_session_timeout_ms: int = _setting(
        "45000", positive, "Kafka replaces a consumer that is silent for this long"
    )
    kafka_linger_ms: int = _setting(
        "20", count, "milliseconds that a message waits for others to be sent along with it"
    )
    kafka_security_protocol: str = _setting(
        "PLAINTEXT",
        one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    kafka_sasl_mechanism: str = _setting("", text, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str = _setting("", text, "")
    kafka_sasl_password: Secret = _setting("", Secret, "")
    kafka_ssl_cafile: str = _setting("", text, "PEM file of the certificate authority")

    # ── S3: address, keys, buckets ──
    minio_endpoint: str = _setting("http://127.0.0.1:9000", address, "address of any S3")
    minio_access_key: str = _setting("", text, "")
    minio_secret_key: Secret = _setting("", Secret, "")
    minio_region: str = _setting("us-east-1", text, "")
    minio_bucket: str = _setting("bronze-transactions", text, "bucket of the lake")
    minio_artifacts_bucket: str = _setting(
        "artifacts", text, "bucket of executed notebooks and reports of scheduled runs"
    )

    # ── Which warehouse, and how to sign in to Snowflake ──
    stocks_warehouse: str = _setting(
        "auto",
        one_of("auto", "local", "snowflake"),
        "auto, local or snowflake; auto: Snowflake if SNOWFLAKE_ACCOUNT is set",
    )
    snowflake_account: str = _setting("", text, "organisation-account, as Snowflake's own pages show it")
    snowflake_connection: str = _setting(
        "", text, "a name in ~/.snowflake/connections.toml, for values that are not set here"
    )
    snowflake_user: str = _setting("", text, "")
    snowflake_private_key_path: str = _setting("", text, "sign-in by key pair (preferred): the PEM file")
    snowflake_private_key_passphrase: Secret = _setting("", Secret, "passphrase of an encrypted key")
    snowflake_token: Secret = _setting("", Secret, "sign-in by programmatic access token")
    snowflake_authenticator: str = _setting(
        "", one_of("externalbrowser", ""), "externalbrowser: a person signs in on screen"
    )
    snowflake_password: Secret = _setting("", Secret, "sign-in by password, where it is still allowed")
    snowflake_role: str = _setting("", text, "empty: the user's default role")
    snowflake_warehouse: str = _setting("STOCKS_WH", identifier, "the virtual warehouse that runs the statements")
    snowflake_database: str = _setting(
        "STOCKS", identifier, "database that readers see; the private version is in …_BUILD"
    )
    snowflake_schema: str = _setting(
        "PUBLIC", identifier, "schema of the private database that holds the writer's lock"
    )
    snowflake_host: str = _setting(
        "", text, "an address other than the account's own: a private link, or http://host:port"
    )
    snowflake_timeout_seconds: int = _setting("600", positive, "time limit of a statement")
    snowflake_credits_a_day: float = _setting(
        "0", credits, "credits a UTC day, after which loads and transforms stop; 0 = no limit"
    )

    # ── Recorded data served as if it were live ──
    replay_start: str = _setting("2012-12-14T09:29:00", text, "New York time at which a replay starts")
    replay_speed: str = _setting("step", speed, "step, or a factor from 1 to 3600")
    replay_data: str = _setting("", text, "a CSV or Parquet of your own daily bars; empty: the recorded ones")

    # ── When Airflow runs each DAG, and where its alerts go ──
    schedule_load: str = _setting(
        "*/5 9-17 * * 1-5", cron, "Airflow, New York time: load new objects; off = by hand only"
    )
    schedule_daily: str = _setting("0 18 * * 1-5", cron, "Airflow, New York time: fetch the day's bars")
    schedule_reports: str = _setting(
        "45 18 * * 1-5", cron, "Airflow, New York time: run the analysis notebooks, write the report"
    )
    schedule_quality: str = _setting(
        "30 20 * * 1-5", cron, "Airflow, New York time: check ledger, freshness, missed schedules"
    )
    schedule_since: date | None = _setting(
        "", day, "first trade date that Airflow loads, catching up missed ones; empty: from now on, without catching up"
    )
    artifacts_url: str = _setting(
        "",
        text,
        "address of the buckets in a browser, for links (http://127.0.0.1:9001/browser); empty: s3:// addresses",
    )
    alert_slack_webhook: Secret = _setting("", Secret, "incoming webhook for Airflow's alerts")
    alert_email_to: str = _setting("", text, "mail addresses for Airflow's alerts, separated by commas")
    alert_email_from: str = _setting("", text, "sender of the alert mails")
    smtp_host: str = _setting("", text, "mail server for the alerts")
    smtp_port: int = _setting("587", port, "")
    smtp_security: str = _setting("starttls", one_of("starttls", "ssl", "none"), "starttls, ssl or none")
    smtp_user: str = _setting("", text, "")
    smtp_password: Secret = _setting("", Secret, "")

    # ── Where Prometheus reads metrics ──
    metrics_port: int = _setting(
        "0",
        port,
        "Prometheus metrics on 127.0.0.1: each process takes the first free of ten ports from here on; 0 = off",
    )

    # ── The semantic model to refresh, and how to sign in ──
    powerbi_tenant_id: str = _setting("", text, "tenant (directory) for `stocks powerbi-refresh`")
    powerbi_client_id: str = _setting("", text, "client id of the service principal")
    powerbi_client_secret: Secret = _setting("", Secret, "secret of the service principal")
    powerbi_workspace_id: str = _setting("", text, "workspace of the published model")
    powerbi_dataset_id: str = _setting("", text, "id of the semantic model")
    powerbi_login_url: str = _setting(
        "https://login.microsoftonline.com", address, "sign-in address; another for national clouds"
    )
    powerbi_api_url: str = _setting("https://api.powerbi.com/v1.0/myorg", address, "address of the REST API")

    # ── Where the project keeps its data, and how much it logs ──
    stocks_home: str = _setting(".stocks", text, "folder of data, logs and runs; relative to the project")
    stocks_log: str = _setting(
        "INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "log level: DEBUG, INFO, WARNING or ERROR"
    )
