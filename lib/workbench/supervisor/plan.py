"""The plan of a stream, which each of its processes gets: symbols, when to end, how long a batch stays open."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from stocklib.settings import Settings

# The defaults of a stream. The settings' own defaults suit a loader that runs from time to time; on Snowflake they
# stay, since a statement every few seconds would keep a warehouse awake all day.
LAND_SECONDS, LOAD_SECONDS = 2.0, 3.0
_STATED = ("environment", ".env")
# Exit codes of a process: its work is done; it failed and must be restarted; a restart would fail again.
DONE, FAILED, HOPELESS = 0, 1, 3


@dataclass(frozen=True)
class Plan:
    """``symbols`` None is the watchlist.

    ``land_seconds``: when a lake object is closed; ``load_seconds``: the least time between two publishes.
    """

    source: str = "quotes"
    symbols: Sequence[str] | None = None
    until_close: bool = False
    duration: float | None = None
    land_seconds: float = LAND_SECONDS
    load_seconds: float = LOAD_SECONDS

    @property
    def producers(self) -> list[str]:
        """Return the roles that produce: ``producer`` polls quotes, ``trades`` listens to the websocket."""
        return {"quotes": ["producer"], "trades": ["trades"], "both": ["producer", "trades"]}[self.source]

    def to_json(self) -> str:
        """Return the plan as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that ``to_json`` wrote."""
        return cls(**json.loads(text))

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with the plan's seconds."""
        return replace(settings, batch_max_seconds=self.land_seconds, load_seconds=self.load_seconds)


def choose_seconds(settings: Settings, name: str, *, given: float | None) -> float:
    """Return the seconds of such a setting: as given, else as set by the user, else the default of a stream."""
    if given is not None:
        return given
    if settings.origins[name] in _STATED or settings.warehouse != "local":
        return float(settings.values[name])
    return {"BATCH_MAX_SECONDS": LAND_SECONDS, "LOAD_SECONDS": LOAD_SECONDS}[name]
