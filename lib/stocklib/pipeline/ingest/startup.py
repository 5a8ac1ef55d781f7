"""The start of a feed: the first calls to its source and Kafka, which may take a minute or fail.

The heartbeat shows this state, and how it ended where the run did not begin, so that a source that is down is visible.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from stocklib.clocks import KeepAliveStop
from stocklib.errors import Interrupted
from stocklib.monitoring.heartbeat import Heartbeat, name_run
from stocklib.settings import Settings

_SHOWN = 300


@contextmanager
def beginning(settings: Settings, keep_alive_stop: KeepAliveStop, *, role: str, topic: str) -> Iterator[Heartbeat]:
    """Yield the heartbeat of a feed that connects within the block; the run continues it with its own ``run_id``."""
    heartbeat = Heartbeat(settings.home, role=role, run_id=name_run(role), metrics_port=settings.metrics_port)
    facts: dict[str, Any] = {
        "state": "asking the source and Kafka for the first time",
        "source": None,
        "topic": topic,
        "messages": 0,
        "errors": 0,
        "trouble": None,
    }
    where = urlsplit(str(settings.finnhub_base_url)).hostname
    waiting = facts | {"trouble": f"the source at {where} has not answered yet: `stocks doctor` says why"}
    keep_alive_stop.keep_alive = lambda: heartbeat.beat(lambda: waiting)
    heartbeat.beat(lambda: facts, now=True)
    try:
        yield heartbeat
    except BaseException as error:
        ended = how_it_ended(error)
        why = f"ended by an error: {error}"[:_SHOWN].splitlines()[0]
        state = "stopped as asked" if ended == "stopped" else why
        heartbeat.end(lambda: facts | {"state": state}, ended=ended)
        raise


def how_it_ended(error: BaseException) -> str:
    """Return how a run ended, for its last heartbeat: Ctrl-C counts as stopped, not as an error."""
    return "stopped" if isinstance(error, KeyboardInterrupt | Interrupted) else "error"
