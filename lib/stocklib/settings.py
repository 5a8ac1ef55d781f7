"""The only reader of the environment, of ``.env`` and of ``config/``.

What goes in: environment variables, then ``.env``, then what the embedded stack wrote to ``STOCKS_HOME/embedded.env``,
then the defaults below, in that order. What comes out: one frozen ``Settings`` whose secrets show as ``***`` wherever
they are printed.

``_SETTINGS`` is the one list of them; ``.env.example`` mirrors it, and a test compares the two. The demo
(``read_settings(demo=True)``) has its own home, reads neither ``.env`` nor service settings from the environment,
forces the local warehouse and lifts the rate limits, so that a replay never reaches production.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

from stocklib.env_file import statements
from stocklib.errors import SettingsError, StateError, SymbolError
from stocklib.quotes import check_symbol
from stocklib.state_files import find_damage
from stocklib.text_files import read_text


class Secret:
    """A value that never prints itself.

    >>> key = Secret("abc123")
    >>> key, f"{key}", key.reveal()
    (***, '***', 'abc123')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: hand it to a client, never to a log."""
        return self._value

    def __repr__(self) -> str:
        return "***" if self._value else "(not set)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not pickled")


def _text(value: str) -> str:
    return value


def _count(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("a whole number, 0 or more")
    return number


def _port(value: str) -> int:
    number = int(value)
    if not 0 <= number <= 65_535:
        raise ValueError("a port from 1 to 65535, or 0")
    return number


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("a whole number, 1 or more")
    return number


def _seconds(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1e9:
        raise ValueError("a number of seconds, 0 or more")
    return number


def _credits(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1e6:
        raise ValueError("a number of credits, 0 or more")
    return number


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://", "ws://", "wss://")):
        raise ValueError("an address that starts with http:// or https:// (ws:// or wss:// for a websocket)")
    return value.rstrip("/")


def _one_of(*choices: str) -> Callable[[str], str]:
    def choice(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value.lower()

    return choice


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("a name of letters, digits and _")
    return value


def _cron(value: str) -> str:
    """``off``, or the five fields of a cron expression; their meaning is the scheduler's."""
    fields = value.split()
    if value.lower() == "off":
        return "off"
    if len(fields) != 5 or not all(set(part) <= set("0123456789*/,-") for part in fields):
        raise ValueError("off, or five fields like 0 18 * * 1-5: minute, hour, day, month, weekday")
    return " ".join(fields)


def _day(value: str) -> date | None:
    return date.fromisoformat(value) if value else None


def _speed(value: str) -> str:
    if value.lower() == "step":
        return "step"
    if not 1 <= float(value) <= 3600:
        raise ValueError("step, or a factor from 1 to 3600")
    return value


@dataclass(frozen=True)
class _Setting:
    default: str
    parse: Callable[[str], Any]
    help: str


# One line a setting: its default, its type, what it is for. The order is that of .env.example.
_SETTINGS: dict[str, _Setting] = {
    "FINNHUB_API_KEY": _Setting("", Secret, "your key from https://finnhub.io; not needed for the demo"),
    "FINNHUB_BASE_URL": _Setting("https://finnhub.io/api/v1", _url, "where Finnhub, or a replay server, answers"),
    "FINNHUB_WS_URL": _Setting("wss://ws.finnhub.io", _url, "where trades are streamed from"),
    "FINNHUB_WS_SYMBOLS": _Setting("50", _positive, "symbols that the plan's websocket takes"),
    "FINNHUB_CALLS_PER_MINUTE": _Setting("60", _count, "rate budget of the plan; 0 = no limit"),
    "FINNHUB_CALLS_PER_SECOND": _Setting("30", _count, "rate budget of every plan; 0 = no limit"),
    "POLL_SECONDS": _Setting("15", _seconds, "a round of quotes starts this often while the market is open"),
    "CLOSE_SETTLE_SECONDS": _Setting("1200", _seconds, "a day is final when asked this long after the close"),
    "HISTORY_SOURCE": _Setting("finnhub", _one_of("finnhub", "yfinance"), "daily bars, splits, dividends"),
    "STOCKS_WATCHLIST": _Setting(
        "", _text, "a name under config/watchlists/, or a path; empty: config/stock_symbols.json"
    ),
    "LOAD_SECONDS": _Setting("60", _seconds, "`stocks load --follow` loads and publishes this often"),
    "PRODUCER_SPOOL_MB": _Setting(
        "64", _count, "quotes wait in so many MB on disk while Kafka is away; 0 = the run ends within a minute of it"
    ),
    "BATCH_MAX_QUOTES": _Setting("5000", _positive, "a lake object holds at most this many messages"),
    "BATCH_MAX_BYTES": _Setting("16000000", _positive, "… or this many bytes before compression"),
    "BATCH_MAX_SECONDS": _Setting("60", _seconds, "… or what this many seconds brought"),
    "KAFKA_BROKER": _Setting("127.0.0.1:9092", _text, "host:port, several with commas"),
    "KAFKA_TOPIC": _Setting("stock-quotes", _text, "quotes"),
    "KAFKA_TRADES_TOPIC": _Setting("stock-trades", _text, "trades"),
    "KAFKA_DLQ_TOPIC": _Setting("stock-quotes-dlq", _text, "messages that are not what they should be"),
    "KAFKA_PARTITIONS": _Setting("3", _positive, "of a topic that is created"),
    "KAFKA_GROUP": _Setting("bronze-consumer", _text, "consumer group"),
    "KAFKA_SESSION_TIMEOUT_MS": _Setting("45000", _positive, "a consumer silent for this long is replaced"),
    "KAFKA_SECURITY_PROTOCOL": _Setting(
        "PLAINTEXT",
        lambda v: _one_of("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")(v).upper(),
        "or SSL, SASL_SSL",
    ),
    "KAFKA_SASL_MECHANISM": _Setting("", _text, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    "KAFKA_SASL_USERNAME": _Setting("", _text, ""),
    "KAFKA_SASL_PASSWORD": _Setting("", Secret, ""),
    "KAFKA_SSL_CAFILE": _Setting("", _text, "certificate authority, PEM"),
    "MINIO_ENDPOINT": _Setting("http://127.0.0.1:9000", _url, "any S3"),
    "MINIO_ACCESS_KEY": _Setting("", _text, ""),
    "MINIO_SECRET_KEY": _Setting("", Secret, ""),
    "MINIO_REGION": _Setting("us-east-1", _text, ""),
    "MINIO_BUCKET": _Setting("bronze-transactions", _text, "the lake"),
    "MINIO_ARTIFACTS_BUCKET": _Setting("artifacts", _text, "executed notebooks and reports of scheduled runs"),
    "STOCKS_WAREHOUSE": _Setting(
        "auto", _one_of("auto", "local", "snowflake"), "auto: Snowflake if its account is set"
    ),
    "SNOWFLAKE_ACCOUNT": _Setting("", _text, "organisation-account, as Snowflake's own pages call it"),
    "SNOWFLAKE_CONNECTION": _Setting(
        "", _text, "a name in ~/.snowflake/connections.toml: it says what is not set here"
    ),
    "SNOWFLAKE_USER": _Setting("", _text, ""),
    "SNOWFLAKE_PRIVATE_KEY_PATH": _Setting("", _text, "key pair sign-in, preferred"),
    "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": _Setting("", Secret, "of an encrypted key"),
    "SNOWFLAKE_TOKEN": _Setting("", Secret, "or a programmatic access token"),
    "SNOWFLAKE_AUTHENTICATOR": _Setting(
        "", lambda v: v and _one_of("externalbrowser")(v), "or externalbrowser: a person signs in on screen"
    ),
    "SNOWFLAKE_PASSWORD": _Setting("", Secret, "or, where it is still allowed, a password"),
    "SNOWFLAKE_ROLE": _Setting("", _text, "empty: the user's own"),
    "SNOWFLAKE_WAREHOUSE": _Setting("STOCKS_WH", _name, "what computes"),
    "SNOWFLAKE_DATABASE": _Setting("STOCKS", _name, "what readers see; beside it …_BUILD, the private version"),
    "SNOWFLAKE_SCHEMA": _Setting("PUBLIC", _name, "of the private database: holds the writer's lock"),
    "SNOWFLAKE_HOST": _Setting(
        "", _text, "another address than the account's own: a private link, or http://host:port"
    ),
    "SNOWFLAKE_TIMEOUT_SECONDS": _Setting("600", _positive, "no statement takes longer"),
    "SNOWFLAKE_CREDITS_A_DAY": _Setting(
        "0", _credits, "loads and transforms stop for the day (UTC) when statements have cost this; 0 = no limit"
    ),
    "REPLAY_START": _Setting("2012-12-14T09:29:00", _text, "New York time at which a replay starts"),
    "REPLAY_SPEED": _Setting("step", _speed, "step, or 1 to 3600"),
    "REPLAY_DATA": _Setting("", _text, "a CSV or Parquet of your own daily bars; empty: the recorded ones"),
    "SCHEDULE_LOAD": _Setting(
        "*/5 9-17 * * 1-5", _cron, "Airflow, New York time: new objects to the warehouse; off = by hand only"
    ),
    "SCHEDULE_DAILY": _Setting("0 18 * * 1-5", _cron, "Airflow, New York time: the day's bars"),
    "SCHEDULE_REPORTS": _Setting("45 18 * * 1-5", _cron, "Airflow, New York time: analysis notebooks and the report"),
    "SCHEDULE_QUALITY": _Setting("30 20 * * 1-5", _cron, "Airflow, New York time: ledger, freshness, missed schedules"),
    "SCHEDULE_SINCE": _Setting(
        "", _day, "Airflow loads each trade date from here on, missed ones too; empty: from now on, without catching up"
    ),
    "ARTIFACTS_URL": _Setting(
        "",
        _text,
        "where a browser finds the buckets, for links (http://127.0.0.1:9001/browser); empty: s3:// addresses",
    ),
    "ALERT_SLACK_WEBHOOK": _Setting("", Secret, "Airflow's alerts go to this incoming webhook"),
    "ALERT_EMAIL_TO": _Setting("", _text, "… and to these addresses, with commas"),
    "ALERT_EMAIL_FROM": _Setting("", _text, "sender of the alerts"),
    "SMTP_HOST": _Setting("", _text, "the mail server of the alerts"),
    "SMTP_PORT": _Setting("587", _port, ""),
    "SMTP_SECURITY": _Setting("starttls", _one_of("starttls", "ssl", "none"), "starttls, ssl or none"),
    "SMTP_USER": _Setting("", _text, ""),
    "SMTP_PASSWORD": _Setting("", Secret, ""),
    "METRICS_PORT": _Setting(
        "0", _port, "Prometheus text on 127.0.0.1: each process takes the first free of ten ports from here; 0 = none"
    ),
    "POWERBI_TENANT_ID": _Setting("", _text, "`stocks powerbi-refresh`: the directory"),
    "POWERBI_CLIENT_ID": _Setting("", _text, "the service principal"),
    "POWERBI_CLIENT_SECRET": _Setting("", Secret, "and its secret"),
    "POWERBI_WORKSPACE_ID": _Setting("", _text, "the workspace that the model was published to"),
    "POWERBI_DATASET_ID": _Setting("", _text, "the semantic model"),
    "POWERBI_LOGIN_URL": _Setting("https://login.microsoftonline.com", _url, "sign-in; another for national clouds"),
    "POWERBI_API_URL": _Setting("https://api.powerbi.com/v1.0/myorg", _url, "the REST API"),
    "STOCKS_HOME": _Setting(".stocks", _text, "data, logs and runs; relative to the project"),
    "STOCKS_LOG": _Setting("INFO", lambda v: _one_of("debug", "info", "warning", "error")(v).upper(), "log level"),
}

# The first line of ``embedded.env`` says that there is a last one: a file that was cut between two lines lacks it.
ENDS, END = ", up to its last line", "# That is all.\n"

# What in the environment says that a person has set this project up; in .env, any setting does.
_CONFIGURES = (
    "FINNHUB_API_KEY",
    "FINNHUB_BASE_URL",
    "KAFKA_BROKER",
    "MINIO_ENDPOINT",
    "SNOWFLAKE_ACCOUNT",
    "SNOWFLAKE_CONNECTION",
    "STOCKS_HOME",
    "REPLAY_DATA",
)
# What the demo fixes, whatever the environment says.
_DEMO = {
    "STOCKS_WAREHOUSE": "local",
    "FINNHUB_CALLS_PER_MINUTE": "0",
    "FINNHUB_CALLS_PER_SECOND": "0",
    "POLL_SECONDS": "0",
    "CLOSE_SETTLE_SECONDS": "0",
    "BATCH_MAX_SECONDS": "5",
    "REPLAY_SPEED": "step",
}

# What the embedded stack makes by itself, and the setting that points the same client at a server of the user's own.
_EMBEDDED = {
    "FINNHUB_API_KEY": "FINNHUB_BASE_URL",
    "MINIO_ACCESS_KEY": "MINIO_ENDPOINT",
    "MINIO_SECRET_KEY": "MINIO_ENDPOINT",
}

# Where the demo's services are as long as its stack is down: nowhere, so that it never reaches somebody else's.
_DEMO_DOWN = {
    "FINNHUB_BASE_URL": "http://127.0.0.1:1/api/v1",
    "FINNHUB_WS_URL": "ws://127.0.0.1:1",
    "KAFKA_BROKER": "127.0.0.1:1",
    "MINIO_ENDPOINT": "http://127.0.0.1:1",
}


@dataclass(frozen=True)
class Settings:
    """Every setting, parsed. A value is an attribute in lower case: ``settings.kafka_broker``.

    ``home`` is the absolute folder of ``STOCKS_HOME``; ``root`` is the project's; ``demo`` says whose home this is.
    """

    root: Path
    home: Path
    demo: bool
    values: Mapping[str, Any] = field(repr=False)
    # where each value came from: environment, .env, embedded.env, demo or default
    origins: Mapping[str, str] = field(repr=False)

    def __getattr__(self, name: str) -> Any:
        values = object.__getattribute__(self, "__dict__").get("values", {})
        try:
            return values[name.upper()]
        except KeyError:
            raise AttributeError(f"there is no setting {name.upper()}") from None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"Settings(home={str(self.home)!r}, demo={self.demo}, {shown})"

    def secrets(self) -> list[str]:
        """Every secret among the values, itself: what no text may hold."""
        return [value.reveal() for value in self.values.values() if isinstance(value, Secret) and value]

    def require(self, name: str) -> Any:
        """The value of a setting that this step cannot do without; one clear error when it is empty."""
        value = self.values[name.upper()]
        if not value:
            raise SettingsError(self._missing(name.upper()))
        return value

    def _missing(self, name: str) -> str:
        pointer = _EMBEDDED.get(name)
        is_embedded = pointer is not None and self.origins[pointer] not in ("environment", ".env")
        if is_embedded and self.demo:
            return f"the embedded stack is not started, and {name} comes from it: stocks up"
        instead = "; or `stocks up` starts an embedded server, which needs none" if is_embedded else ""
        return f"{name} is not set: put it into .env (see .env.example) or into the environment{instead}"

    @property
    def symbols(self) -> list[str]:
        """The symbols to follow: those of the chosen watchlist."""
        return read_watchlist(self)

    @property
    def warehouse(self) -> str:
        """``local`` or ``snowflake``."""
        if self.stocks_warehouse != "auto":
            return str(self.stocks_warehouse)
        return "snowflake" if self.snowflake_account or self.snowflake_connection else "local"

    @property
    def embedded_env(self) -> Path:
        """What the embedded stack writes and this module reads: addresses and generated keys."""
        return self.home / "embedded.env"


def read_settings(*, demo: bool = False, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this machine now; ``SettingsError`` names the first one that is malformed.

    Where nothing at all is configured (no ``.env``, none of the service settings), the demo's home is used, so that
    every verb works right after ``make demo``.
    """
    environ = os.environ if environ is None else environ
    root = project_root()
    # set for the kernels of notebooks that a demo runs, which read their settings anew
    demo = demo or environ.get("STOCKS_DEMO") == "1"
    dotenv = {} if demo else _read_env_file(root / ".env")
    configured = any(dotenv.get(name) for name in _SETTINGS) or any(environ.get(name) for name in _CONFIGURES)
    demo = demo or not configured
    layers: list[tuple[str, Mapping[str, str]]]
    if demo:
        allowed = {name: environ[name] for name in ("STOCKS_LOG", "METRICS_PORT") if environ.get(name)}
        home = Path(environ.get("STOCKS_DEMO_HOME") or root / ".stocks" / "demo").resolve()
        layers = [
            ("demo", _DEMO),
            ("environment", allowed),
            ("embedded.env", _read_embedded_env(home / "embedded.env")),
        ]
        layers.append(("the embedded stack, which is not up", _DEMO_DOWN))
    else:
        stated = environ.get("STOCKS_HOME") or dotenv.get("STOCKS_HOME") or _SETTINGS["STOCKS_HOME"].default
        home = (root / Path(stated).expanduser()).resolve()
        layers = [
            ("environment", environ),
            (".env", dotenv),
            ("embedded.env", _read_embedded_env(home / "embedded.env")),
        ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, setting in _SETTINGS.items():
        origin, text = next(
            ((where, layer[name]) for where, layer in layers if layer.get(name)),
            ("default", setting.default),
        )
        values[name] = _parse(name, setting, text, origin)
        origins[name] = origin
    return Settings(root=root, home=home, demo=demo, values=values, origins=origins)


def project_root() -> Path:
    """The folder that holds ``dbt_stocks/``: the nearest one above the working folder, else that of this checkout."""
    try:
        here = Path.cwd().resolve()
    except FileNotFoundError:
        raise SettingsError(
            "the working folder was deleted: change to the project's folder (cd) and run it again"
        ) from None
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "dbt_stocks" / "dbt_project.yml").is_file():
            return folder
    raise SettingsError(
        "this is not a checkout of the stocks workbench: no dbt_stocks/dbt_project.yml above " + str(here)
    )


def read_watchlist(settings: Settings) -> list[str]:
    """The symbols of the watchlist that ``STOCKS_WATCHLIST`` names; each checked, in order, no one twice."""
    path = _watchlist_path(settings)
    try:
        return read_symbols(path)
    except FileNotFoundError:
        known = sorted(p.stem for p in (settings.root / "config" / "watchlists").glob("*.json"))
        raise SettingsError(f"there is no watchlist {path}; STOCKS_WATCHLIST is a path or one of {known}") from None


def read_symbols(path: Path) -> list[str]:
    """The symbols of one watchlist's file; each checked, in order, no one twice. Raises ``SettingsError``."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f'{path} cannot be read: {error}; it must hold {{"symbols": ["AAPL", …]}}') from error
    listed = content.get("symbols") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise SettingsError(f'{path} must hold {{"symbols": ["AAPL", …]}} with at least one symbol')
    try:
        return list(dict.fromkeys(check_symbol(symbol) for symbol in listed))
    except SymbolError as error:
        raise SymbolError(f"{path}: {error}") from None


@dataclass(frozen=True)
class SymbolChange:
    """A company's symbol was ``old`` and is ``new`` from ``since`` on."""

    old: str
    new: str
    since: date


def read_symbol_changes(settings: Settings) -> list[SymbolChange]:
    """The renamed symbols of ``config/symbol_changes.csv``, by date; no file is no change.

    ``SettingsError`` names the first line that is malformed: a symbol that is none, a date that is none, a symbol that
    was renamed twice or that two became, a circle.
    """
    path = settings.root / "config" / "symbol_changes.csv"
    rows = _rows(path, ("old", "new", "date"))
    found: list[SymbolChange] = []
    for number, row in enumerate(rows[1:], 2):
        if any(cell.strip() for cell in row):
            change = _symbol_change(row, f"{path}, line {number}")
            if any(change.old == other.old or change.new == other.new for other in found):
                raise SettingsError(f"{path}, line {number}: {change.old} or {change.new} is in its column twice")
            found.append(change)
    return _in_order(found, path)


def check_sectors(settings: Settings) -> None:
    """Raise ``SettingsError`` where ``config/sectors.csv`` is not what dbt can read: its text, its first line."""
    _rows(settings.root / "config" / "sectors.csv", ("symbol", "sector", "industry"))


def _rows(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """The rows of a CSV file under ``config/``, its header first; no file is no rows."""
    try:
        rows = list(csv.reader(StringIO(read_text(path))))
    except FileNotFoundError:
        return []
    except csv.Error as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if not rows or tuple(name.strip() for name in rows[0]) != columns:
        found = ",".join(rows[0])[:60] if rows else ""
        raise SettingsError(f"{path} must begin with the line {','.join(columns)}; it begins with {found!r}")
    return rows


def _symbol_change(row: list[str], where: str) -> SymbolChange:
    try:
        old, new, since = (cell.strip() for cell in row)
        change = SymbolChange(check_symbol(old), check_symbol(new), date.fromisoformat(since))
    except (ValueError, SymbolError) as error:
        raise SettingsError(f"{where} must be like FB,META,2022-06-09: {error}") from None
    if change.old == change.new:
        raise SettingsError(f"{where}: {old} cannot become itself")
    return change


def _in_order(changes: list[SymbolChange], path: Path) -> list[SymbolChange]:
    """By date; what a symbol became must have become something else later, not earlier, which leaves out circles."""
    became = {change.old: change for change in changes}
    for change in changes:
        later = became.get(change.new)
        if later and later.since <= change.since:
            raise SettingsError(
                f"{path}: {change.old} became {change.new} on {change.since}, which became {later.new} before it was "
                f"there, on {later.since}"
            )
    return sorted(changes, key=lambda change: (change.since, change.old))


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (name, default, what it is for): what ``.env.example`` and ``stocks settings`` show."""
    return [(name, setting.default, setting.help) for name, setting in _SETTINGS.items()]


def _watchlist_path(settings: Settings) -> Path:
    chosen = str(settings.stocks_watchlist)
    if not chosen:
        return settings.root / "config" / "stock_symbols.json"
    if chosen.endswith(".json") or "/" in chosen:
        return settings.root / Path(chosen).expanduser()
    return settings.root / "config" / "watchlists" / f"{chosen}.json"


def _read_env_file(path: Path) -> dict[str, str]:
    return dict(statements(path))


def _read_embedded_env(path: Path) -> dict[str, str]:
    """What ``stocks up`` wrote. ``StateError`` for a part of it: the defaults would reach somebody else's servers."""
    remedy = "delete it and run `stocks up`, which writes it again"
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StateError(path, f"cannot be read ({error.strerror or error})", remedy) from error
    if damage := find_damage(content):
        raise StateError(path, damage, remedy)
    text = content.decode("utf-8", errors="replace")
    is_cut = ENDS in text.partition("\n")[0] and not text.endswith(END)
    lines = text.split("\n")
    if is_cut or lines.pop() or not all(re.fullmatch(r"#.*|\s*|[A-Z_]+=[^\ufffd]*", line) for line in lines):
        raise StateError(path, "is torn, or was changed by somebody else", remedy)
    return _read_env_file(path)


def _parse(name: str, setting: _Setting, text: str, origin: str) -> Any:
    if setting.parse is Secret:
        return Secret(text.strip())
    try:
        return setting.parse(text.strip())
    except (ValueError, TypeError) as error:
        where = {"default": "the built-in default", "environment": "the environment"}.get(origin, origin)
        expected = (
            str(error) if "invalid literal" not in str(error) and "could not convert" not in str(error) else "a number"
        )
        raise SettingsError(f"{name}={text!r} (from {where}) is not valid: expected {expected}") from None
