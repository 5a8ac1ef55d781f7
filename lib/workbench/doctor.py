"""Check that every system of the settings answers, and name the setting to mend when it does not.

Settings in, one finding a system out. It never asks for a quote: in a stepped replay that would move the clock.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from stocklib import lake, stream
from stocklib.env_file import remarks
from stocklib.errors import OtherRelease, SettingsError, StocksError
from stocklib.finnhub import Finnhub
from stocklib.host import explained
from stocklib.logs import hide_secrets
from stocklib.monitoring.health import examine as read_health
from stocklib.pipeline.history import open_history
from stocklib.reference_data import check_sectors, read_symbol_changes
from stocklib.sessions import last_finished_session
from stocklib.settings import Settings, describe
from stocklib.warehouse import open_warehouse
from stocklib.warehouse.releases import complaint

# The systems that each server of the embedded stack serves.
_SERVED = {"replay": ("source", "history"), "kafka": ("kafka",), "s3": ("s3",)}


@dataclass(frozen=True)
class Finding:
    """The result of one check: the system, whether it is well, and a sentence."""

    system: str
    ok: bool
    text: str


def examine(settings: Settings, *, stopped: Collection[str] = ()) -> list[Finding]:
    """Return one finding for each system that the settings name.

    ``stopped`` names the servers of the embedded stack that the settings want and that do not run: ``s3``, ``kafka``,
    ``replay``. In the demo's home nothing else could answer, so they are not asked.
    """
    waiting = {system for server in stopped for system in _SERVED[server]} if settings.demo else set()
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("settings", _settings),
        (".env", _env_file),
        ("symbols", _symbols),
        ("source", _source),
        ("history", _history),
        ("kafka", stream.check),
        ("s3", lake.check),
        ("warehouse", _warehouse),
        ("processes", _processes),
    ]
    findings: list[Finding] = []
    for name, check in checks:
        down = {finding.system for finding in findings if not finding.ok}
        # a source that does not answer is reported once
        if name == "history" and settings.history_source == "finnhub" and "source" in down:
            continue
        try:
            if name in waiting:
                raise StocksError("the embedded stack is not started: stocks up")
            findings.append(Finding(name, True, check(settings)))
        except StocksError as error:
            findings.append(Finding(name, False, explained(error)))
    return findings


def _settings(settings: Settings) -> str:
    whose = "the demo's" if settings.demo else "yours"
    stated = sorted(name for name, origin in settings.origins.items() if origin in ("environment", ".env"))
    return f"{whose}, home {settings.home}; set by you: {', '.join(stated) or 'nothing'}"


def _env_file(settings: Settings) -> str:
    """Check that every line of ``.env`` has an effect, also in the demo's home, which a misspelt name may cause."""
    path = settings.root / ".env"
    if not path.is_file():
        return "there is no .env; .env.example lists every setting"
    names = [name for name, _, _ in describe()]
    found = remarks(path, settings=names, compose=settings.root / "docker-compose.yml")
    if found.wrong:
        raise SettingsError(f"{path}, {'; '.join(found.wrong)}")
    others = f"; not a setting of this project: {', '.join(found.others)}" if found.others else ""
    return f"every setting in it is known{others}"


def _symbols(settings: Settings) -> str:
    listed = settings.symbols
    check_sectors(settings.root)
    read_symbol_changes(settings.root)
    return f"{len(listed)} to follow: {', '.join(listed[:8])}{' …' if len(listed) > 8 else ''}"


def _source(settings: Settings) -> str:
    with Finnhub(settings, attempts=2) as finnhub:
        status = finnhub.market_status()
        state = "open" if status.is_open else f"closed{f' ({status.holiday})' if status.holiday else ''}"
        return (
            f"{finnhub.source} answers at {hide_secrets(str(settings.finnhub_base_url))}; "
            f"its clock says {status.at:%Y-%m-%d %H:%M} UTC, "
            f"the market is {state}"
        )


def _history(settings: Settings) -> str:
    """Check that the key may read the last finished session of one symbol, and its splits: a free key may not."""
    symbol = settings.symbols[0]
    with open_history(settings) as source:
        day = last_finished_session(source.now()).session_date
        bars = source.candles(symbol, "D", day, day)
        source.splits(symbol, day, day)
        return f"{source.source} answers with {len(bars) or 'no'} bar of {symbol} on {day}"


def _warehouse(settings: Settings) -> str:
    warehouse = open_warehouse(settings)
    where = warehouse.check()
    build = warehouse.published_build()
    if build is None:
        return f"{where}: stocks load && stocks transform"
    with warehouse.reading() as look:
        if reason := complaint(settings, look):
            raise OtherRelease(f"{where}: {reason}")
    return f"{where}; the build of {build.finished_at:%Y-%m-%d %H:%M} UTC is published, up to load {build.load_id}"


def _processes(settings: Settings) -> str:
    """Check the heartbeats for alarms."""
    health = read_health(settings)
    if health.alarms:
        raise StocksError("; ".join(health.alarms))
    alive = [process.role for process in health.processes if process.is_alive]
    return f"{', '.join(alive) or 'none'} running, no alarm: stocks status"
