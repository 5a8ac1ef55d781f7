"""The status of a stream in one line: the heartbeats of its processes, and how often they were restarted."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stocklib.monitoring.heartbeat import read_heartbeats
from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings
from workbench.supervisor.children import Child
from workbench.supervisor.stack import Servers

_UNITS = {"producer": "quotes", "trades": "trades"}


@dataclass(frozen=True)
class Status:
    """What the status line shows; the facts of a process without a heartbeat yet are empty."""

    producers: Mapping[str, Mapping[str, Any]]
    consumer: Mapping[str, Any]
    loader: Mapping[str, Any]
    restarts: int

    def __str__(self) -> str:
        latest = max((facts.get("last_event_at") or 0.0 for facts in self.producers.values()), default=0.0)
        parts = [
            _clock(latest),
            *(
                f"{facts.get('messages', 0):,} {_UNITS[role]} ({facts.get('per_second', 0.0):.1f}/s)"
                for role, facts in self.producers.items()
            ),
            f"{self.consumer.get('messages', 0):,} landed, lag {_or_unknown(self.consumer.get('lag'))}",
            f"{self.loader.get('messages', 0):,} published{_age(self.loader)}",
        ]
        children = {**self.producers, "consumer": self.consumer, "loader": self.loader}
        troubled = [
            f"{name}: {trouble}"
            for name, facts in children.items()
            if (trouble := facts.get("trouble") or facts.get("failing"))
        ]
        restarts = [f"{self.restarts} restarts"] if self.restarts else []
        return " | ".join([*filter(None, parts), *troubled, *restarts])


def read_status(settings: Settings, children: Mapping[str, Child], servers: Servers) -> Status:
    """Return the status of the processes that run now."""
    beats = {beat.pid: beat.facts for beat in read_heartbeats(settings.home)}
    facts = {role: beats.get(child.pid or -1, {}) for role, child in children.items()}
    return Status(
        producers={role: facts[role] for role in _UNITS if role in children},
        consumer=facts.get("consumer", {}),
        loader=facts.get("loader", {}),
        restarts=servers.restarts + sum(child.restarts for child in children.values()),
    )


def _clock(epoch: float | None) -> str:
    return f"{datetime.fromtimestamp(epoch, NEW_YORK):%Y-%m-%d %H:%M:%S} New York" if epoch else ""


def _age(loader: Mapping[str, Any]) -> str:
    at, took = loader.get("published_at"), loader.get("batch_seconds")
    return f" {max(0.0, time.time() - at):.0f} s ago in {took:.1f} s" if at and took else ""


def _or_unknown(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
