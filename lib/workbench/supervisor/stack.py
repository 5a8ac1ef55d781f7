"""The embedded servers of a stream: started when down, restarted when they die, stopped if the stream started them."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from stocklib.backoff import Backoff
from stocklib.errors import StocksError
from stocklib.finnhub import Finnhub
from stocklib.monitoring.heartbeat import read_heartbeats
from stocklib.settings import Settings, read_settings
from workbench import embedded

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 30.0
# Seconds between requests to a running server, which may only be busy when it does not answer.
_ASK_SECONDS = 20.0
_ADDRESSES = ("KAFKA_BROKER", "MINIO_ENDPOINT", "FINNHUB_BASE_URL")


class Servers:
    """Watch the servers in a thread; ``moved`` is set when their addresses have changed."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="servers", daemon=True)
        self._unanswered_checks = 0
        self.moved = threading.Event()
        self.restarts = 0
        self._wanted = embedded.wanted(settings)
        self.started_here = bool(self._wanted) and not any(embedded.is_alive(settings, name) for name in self._wanted)

    def begin(self) -> Settings:
        """Start the servers that are needed and down; return the settings with their addresses."""
        if self._wanted:
            embedded.up(self._settings, on_progress=self._say)
            self._settings = read_settings(demo=self._settings.demo)
            self._thread.start()
        return self._settings

    def end(self) -> None:
        """Stop watching them, and stop them if they were down before."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.started_here:
            embedded.down(self._settings)

    def _look_after(self) -> None:
        backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        pause, asked = _LOOK_SECONDS, time.monotonic()
        while not self._ended.wait(pause):
            try:
                must_answer = time.monotonic() - asked >= _ASK_SECONDS
                asked = time.monotonic() if must_answer else asked
                if not self._is_well(must_answer=must_answer):
                    self._bring_back()
                pause = _LOOK_SECONDS
                backoff.succeed()
            except (StocksError, OSError) as error:
                pause = backoff.fail()
                log.error("%s; next try in %.0f s", error, pause)

    def _is_well(self, *, must_answer: bool) -> bool:
        if not all(embedded.is_alive(self._settings, name) for name in self._wanted):
            return False
        if must_answer:
            mute = [server.name for server in embedded.status(self._settings) if server.alive and not server.answering]
            # twice: one late answer does not mean that the server is dead
            self._unanswered_checks = self._unanswered_checks + 1 if mute else 0
            return self._unanswered_checks < 2
        return True

    def _bring_back(self) -> None:
        replay_died = "replay" in self._wanted and not embedded.is_alive(self._settings, "replay")
        before = [self._settings.values[name] for name in _ADDRESSES]
        self._unanswered_checks = 0
        self.restarts += 1
        log.warning("a server of the embedded stack died: restarting it")
        embedded.up(self._settings, on_progress=lambda text: log.info("%s", text))
        self._settings = read_settings(demo=self._settings.demo)
        if replay_died:
            self._set_clock()
        if before != [self._settings.values[name] for name in _ADDRESSES]:
            self.moved.set()

    def _set_clock(self) -> None:
        """Set a restarted replay to the time of the last quote: it would start at its beginning."""
        seen = [beat.facts.get("last_event_at") for beat in read_heartbeats(self._settings.home, past=True)]
        latest = max((at for at in seen if at), default=None)
        if latest:
            with Finnhub(self._settings) as finnhub:
                finnhub.set_clock(datetime.fromtimestamp(latest, UTC))
