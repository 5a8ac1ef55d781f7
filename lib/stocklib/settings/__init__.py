"""The only reader of the environment and of ``.env``.

What goes in: environment variables, then ``.env``, then what the embedded stack wrote to ``STOCKS_HOME/embedded.env``,
then the defaults of ``sections``, in that order. What comes out: one frozen ``Settings`` whose secrets show as ``***``
wherever they are printed.

``sections`` is the one list of them; ``.env.example`` mirrors it, and a test compares the two. The demo
(``read_settings(demo=True)``) has its own home, reads neither ``.env`` nor service settings from the environment,
forces the local warehouse and lifts the rate limits, so that a replay never reaches production.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from stocklib.env_file import statements
from stocklib.errors import SettingsError, StateError
from stocklib.settings.secret import Secret
from stocklib.settings.sections import Declared, Setting
from stocklib.state_files import read_state
from stocklib.watchlists import read_watchlist

__all__ = ["END", "ENDS", "Secret", "Settings", "describe", "project_root", "read_settings"]

# The first line of ``embedded.env`` announces the last one, which a file that was cut between two lines lacks.
ENDS, END = ", up to its last line", "# That is all.\n"

# Variables of the environment that show that a user configured the project; in .env, any setting does.
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
# What the demo sets, whatever the environment holds.
_DEMO = {
    "STOCKS_WAREHOUSE": "local",
    "FINNHUB_CALLS_PER_MINUTE": "0",
    "FINNHUB_CALLS_PER_SECOND": "0",
    "POLL_SECONDS": "0",
    "CLOSE_SETTLE_SECONDS": "0",
    "BATCH_MAX_SECONDS": "5",
    # the embedded broker writes an object to S3 for each request
    "KAFKA_LINGER_MS": "1000",
    "REPLAY_SPEED": "step",
}

# In a demo's home: the bars that it replays instead of the recorded ones.
MADE_BARS = "market/bars.csv"

# Settings that the embedded stack makes, and the setting that points the same client at a server of the user.
_EMBEDDED = {
    "FINNHUB_API_KEY": "FINNHUB_BASE_URL",
    "MINIO_ACCESS_KEY": "MINIO_ENDPOINT",
    "MINIO_SECRET_KEY": "MINIO_ENDPOINT",
}

# The demo's addresses while its stack is down: none, so that it never reaches another server.
_IS_DOWN = "the embedded stack, which is not up"
_DEMO_DOWN = {
    "FINNHUB_BASE_URL": "http://127.0.0.1:1/api/v1",
    "FINNHUB_WS_URL": "ws://127.0.0.1:1",
    "KAFKA_BROKER": "127.0.0.1:1",
    "MINIO_ENDPOINT": "http://127.0.0.1:1",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings(Declared):
    """Every setting, parsed: a typed attribute in lower case, such as ``settings.kafka_broker``.

    ``home`` is the absolute folder of ``STOCKS_HOME``, ``root`` the project's; ``demo`` is whether this is a demo's
    home; ``origins`` says where each value came from: environment, .env, embedded.env, demo or default.
    """

    root: Path
    home: Path
    demo: bool
    origins: Mapping[str, str] = field(hash=False)

    @property
    def values(self) -> dict[str, Any]:
        """Return every value by its name in upper case, in the order of ``.env.example``."""
        return {name: getattr(self, name.lower()) for name in SETTINGS}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"Settings(home={str(self.home)!r}, demo={self.demo}, {shown})"

    def secrets(self) -> list[str]:
        """Return every secret among the values, in the clear, for hiding it in texts."""
        return [value.reveal() for value in self.values.values() if isinstance(value, Secret) and value]

    def require(self, name: str) -> Any:
        """Return the value of a setting that a step needs; ``SettingsError`` when it is empty."""
        value = getattr(self, name.lower())
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
        return read_watchlist(self.root, self.stocks_watchlist)

    @property
    def warehouse(self) -> str:
        """``local`` or ``snowflake``."""
        if self.stocks_warehouse != "auto":
            return self.stocks_warehouse
        return "snowflake" if self.snowflake_account or self.snowflake_connection else "local"

    @property
    def replay_bars(self) -> Path | None:
        """The file of ``REPLAY_DATA``, relative to the project's folder; None for the recorded bars."""
        return self.root / Path(self.replay_data).expanduser() if self.replay_data else None

    @property
    def embedded_env(self) -> Path:
        """The file of the embedded stack with its addresses and generated keys, which this module reads."""
        return self.home / "embedded.env"


# By name in upper case, in the order of .env.example.
SETTINGS: dict[str, Setting] = {each.name.upper(): each.metadata["setting"] for each in fields(Declared)}


def read_settings(*, demo: bool = False, environ: Mapping[str, str] | None = None) -> Settings:
    """Return this machine's current settings; ``SettingsError`` names the first malformed one.

    Where nothing is configured (no ``.env``, no service setting), the demo's home is used, so that every verb works
    right after ``make demo``.
    """
    environ = os.environ if environ is None else environ
    root = project_root()
    # set for the notebook kernels of a demo, which read their settings again
    demo = demo or environ.get("STOCKS_DEMO") == "1"
    dotenv = {} if demo else _read_env_file(root / ".env")
    configured = any(dotenv.get(name) for name in SETTINGS) or any(environ.get(name) for name in _CONFIGURES)
    demo = demo or not configured
    before: list[tuple[str, Mapping[str, str]]]
    if demo:
        home = Path(environ.get("STOCKS_DEMO_HOME") or root / ".stocks" / "demo").resolve()
        allowed = {name: environ[name] for name in ("STOCKS_LOG", "METRICS_PORT") if environ.get(name)}
        made = {"REPLAY_DATA": str(home / MADE_BARS)} if (home / MADE_BARS).is_file() else {}
        before, after = [("demo", _DEMO), ("environment", allowed)], [("demo", made), (_IS_DOWN, _DEMO_DOWN)]
    else:
        stated = environ.get("STOCKS_HOME") or dotenv.get("STOCKS_HOME") or SETTINGS["STOCKS_HOME"].default
        home = (root / Path(stated).expanduser()).resolve()
        before, after = [("environment", environ), (".env", dotenv)], []
    layers = [*before, ("embedded.env", _read_embedded_env(home / "embedded.env")), *after]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        origin, text = next(
            ((where, layer[name]) for where, layer in layers if layer.get(name)),
            ("default", setting.default),
        )
        values[name.lower()] = _parse(name, setting, text, origin)
        origins[name] = origin
    return Settings(root=root, home=home, demo=demo, origins=origins, **values)


def project_root() -> Path:
    """Return the folder that holds ``dbt_stocks/``: the nearest above the working folder, else this checkout's."""
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


def describe() -> list[tuple[str, str, str]]:
    """Return every setting as (name, default, purpose), as ``.env.example`` and ``stocks settings`` show it."""
    return [(name, setting.default, setting.help) for name, setting in SETTINGS.items()]


def _read_env_file(path: Path) -> dict[str, str]:
    return dict(statements(path))


def _read_embedded_env(path: Path) -> dict[str, str]:
    """Return what ``stocks up`` wrote; ``StateError`` for a cut file: the defaults would reach other servers."""
    remedy = "delete it and run `stocks up`, which writes it again"
    try:
        text = read_state(path, remedy=remedy).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    is_cut = ENDS in text.partition("\n")[0] and not text.endswith(END)
    lines = text.split("\n")
    if is_cut or lines.pop() or not all(re.fullmatch(r"#.*|\s*|[A-Z_]+=[^\ufffd]*", line) for line in lines):
        raise StateError(path, "is torn, or was changed by another program", remedy)
    return _read_env_file(path)


def _parse(name: str, setting: Setting, text: str, origin: str) -> Any:
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
