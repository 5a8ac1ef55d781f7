"""The replay server as a daemon: Finnhub's API over recorded bars, on loopback, with a generated key."""

import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from stocklib.settings import Settings
from stocklib.state_files import write_promise
from workbench.embedded import processes
from workbench.embedded.home import Keys, folder_of
from workbench.embedded.processes import Daemon

TITLE, WHAT = "replay", "at {0.replay_start} New York time, speed {0.replay_speed}"
# The settings with its address and key: where the user sets one, this server is not needed.
POINTERS = ("FINNHUB_API_KEY", "FINNHUB_BASE_URL")
SYMBOLS = Path(str(files("finnhub_replay"))) / "data" / "stock_symbols.json"
# Marks a server that refuses web pages, unlike one of an older release.
_GUARDED = "guarded"


def start(settings: Settings, keys: Keys, *, wanted: Mapping[str, int], options: Sequence[str] = ()) -> Daemon:
    """Start the server at the instant and the speed of the settings, on the wanted port where it is free.

    ``options`` are further options of its command line.
    """
    if settings.replay_bars:
        _write_symbols(symbols_file(settings), settings.replay_bars)
    ports = processes.free_ports(["replay"], wanted=wanted)
    command = [sys.executable, "-m", "finnhub_replay", "--port", str(ports["replay"])]
    command += [*_options(settings), *options]
    # not on the command line, which every user of the machine may read
    environ, folder = {"STOCKS_REPLAY_KEY": keys.finnhub}, folder_of(settings, "replay")
    return processes.start("replay", command, folder=folder, ports=ports, environ=environ, flavour=flavour(settings))


def flavour(settings: Settings) -> str:
    """Return what a running server must have been started with to match the settings."""
    return " ".join([_GUARDED, *_options(settings)])


def symbols_file(settings: Settings) -> Path:
    """Return the watchlist of all that the server replays: the recorded five, or the symbols of the user's bars."""
    return folder_of(settings, "replay") / "stock_symbols.json" if settings.replay_data else SYMBOLS


def complaint(daemon: Daemon, keys: Keys) -> str | None:
    """Return None when the virtual clock can be read with the key, else what is wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["replay"], timeout=5)
    try:
        connection.request("GET", "/replay/clock", headers={"X-Finnhub-Token": keys.finnhub})
        answer = connection.getresponse()
        body = answer.read()
        json.loads(body)["now"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return str(error) or repr(error)
    finally:
        connection.close()
    return None


def stop(daemon: Daemon) -> None:
    """End the server; only its clock is lost."""
    processes.stop(daemon, grace=2)


def _write_symbols(path: Path, data: Path) -> None:
    """Write the symbols of these bars; raise for invalid bars, in the caller's own process."""
    from finnhub_replay import replay_symbols

    text = json.dumps({"symbols": replay_symbols(data)}, indent=2) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_promise(path, text.encode())


def _options(settings: Settings) -> list[str]:
    options = ["--start", str(settings.replay_start), "--speed", str(settings.replay_speed)]
    return [*options, "--data", str(settings.replay_bars)] if settings.replay_bars else options
