"""The new objects of the lake, listed several times a second at a cost that follows what is new within the hour.

Objects of a stream are listed by partition, after the last one that was loaded. The whole listing of ``loader`` finds
the rest (a late object of an earlier offset, history, an unknown partition): at the start, and every half minute after
it.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from stocklib.lake import Lake, name_stream, parse_key
from stocklib.pipeline.loading.loader import horizon, list_new
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse

_WHOLE_SECONDS = 30.0
# An upload of an hour may end so long after the hour.
_LATE = timedelta(minutes=2)


class Listing:
    """Lists new objects for one loader; ``mark_offered`` leaves keys out of later listings."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._lake = lake
        self._whole_at = float("-inf")
        topics = {
            "stock_quotes": (settings.kafka_topic, settings.kafka_partitions),
            "stock_trades": (settings.kafka_trades_topic, settings.kafka_partitions),
            "dead_letters": (settings.kafka_dlq_topic, 1),
        }
        # the last key that was loaded, by stream and hour
        self._last: dict[tuple[str, str], dict[datetime, str]] = {
            (dataset, name_stream(topic, partition)): {}
            for dataset, (topic, partitions) in topics.items()
            for partition in range(partitions)
        }

    def new_objects(self, warehouse: Warehouse) -> dict[str, str]:
        """Return the keys that are not loaded, each with its dataset; the caller must hold the writer's lock."""
        if time.monotonic() - self._whole_at < _WHOLE_SECONDS:
            # an earlier loader may have loaded some of them
            newest = self._newest()
            known = _known(warehouse, newest)
            self.mark_offered(known)
            return {key: dataset for key, dataset in newest.items() if key not in known}
        new = list_new(self._lake, warehouse)
        self._whole_at = time.monotonic()
        return new

    def is_new(self) -> bool:
        """Return whether to ask the warehouse: new keys came, or the whole listing is due."""
        return time.monotonic() - self._whole_at >= _WHOLE_SECONDS or bool(self._newest())

    def mark_offered(self, keys: Iterable[str]) -> None:
        """Mark keys that were loaded, or were unreadable: the whole listing tries those again."""
        for key in keys:
            parts = parse_key(key)
            stream = (parts.dataset, parts.what.rpartition("+")[0])
            # a future hour would displace the hours that are listed
            if stream in self._last and parts.landed_hour <= horizon():
                last = self._last[stream]
                last[parts.landed_hour] = max(key, last.get(parts.landed_hour, ""))
                # two hours are listed at most, and a key may be of the next one
                for hour in sorted(last)[:-3]:
                    del last[hour]

    def _newest(self) -> dict[str, str]:
        now = datetime.now(UTC)
        hours = sorted({at.replace(minute=0, second=0, microsecond=0) for at in (now - _LATE, now)})
        return {
            found.key: dataset
            for (dataset, stream), last in self._last.items()
            for hour in hours
            for found in self._lake.list_stream(dataset, stream, hour=hour, after=last.get(hour, ""))
        }


def _known(warehouse: Warehouse, found: Mapping[str, str]) -> set[str]:
    """Return the objects that are loaded."""
    first = {dataset: min(key for key in found if found[key] == dataset) for dataset in set(found.values())}
    return {key for dataset, since in first.items() for key in warehouse.known_keys(dataset, since=since)} & set(found)
