"""Which objects of the lake are new, asked every second: at a cost that follows what is new within the hour.

Objects of a stream are listed partition by partition, after the last one that was taken. What that cannot see (an
object of an earlier offset that came late, history, a partition that nobody told of) the whole listing sees, which
``loading`` makes too: at the start, and every half minute from then on.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from stocklib.lake import Lake, name_stream, parse_key
from stocklib.pipeline.loading.loader import horizon, list_new
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse

_WHOLE_SECONDS = 30.0
# An upload of the last hour may end so long after the hour did.
_LATE = timedelta(minutes=2)


class Listing:
    """Lists what is new for one loader; ``took`` says what was loaded, and is not to be listed again."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._lake = lake
        self._whole_at = float("-inf")
        topics = {
            "stock_quotes": (settings.kafka_topic, settings.kafka_partitions),
            "stock_trades": (settings.kafka_trades_topic, settings.kafka_partitions),
            "dead_letters": (settings.kafka_dlq_topic, 1),
        }
        # of each stream and hour the last key that was taken
        self._last: dict[tuple[str, str], dict[datetime, str]] = {
            (dataset, name_stream(topic, partition)): {}
            for dataset, (topic, partitions) in topics.items()
            for partition in range(partitions)
        }

    def new_objects(self, warehouse: Warehouse) -> dict[str, str]:
        """What has landed and is not loaded, the dataset of each key; the caller is the warehouse's writer."""
        if time.monotonic() - self._whole_at < _WHOLE_SECONDS:
            # a predecessor may have loaded some of them
            newest = self._newest()
            known = _known(warehouse, newest)
            self.took(known)
            return {key: dataset for key, dataset in newest.items() if key not in known}
        new = list_new(self._lake, warehouse)
        self._whole_at = time.monotonic()
        return new

    def is_new(self) -> bool:
        """Whether a look at the warehouse is worth it: something came, or the whole listing is due."""
        return time.monotonic() - self._whole_at >= _WHOLE_SECONDS or bool(self._newest())

    def took(self, keys: Iterable[str]) -> None:
        """These were offered to the warehouse: loaded, or unreadable, and then tried again with the whole listing."""
        for key in keys:
            parts = parse_key(key)
            stream = (parts.dataset, parts.what.rpartition("+")[0])
            # an hour of the future would take the place of those that are asked for
            if stream in self._last and parts.landed_hour <= horizon():
                last = self._last[stream]
                last[parts.landed_hour] = max(key, last.get(parts.landed_hour, ""))
                # two hours are ever asked for
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
    """Those of the objects that are loaded."""
    first = {dataset: min(key for key in found if found[key] == dataset) for dataset in set(found.values())}
    return {key for dataset, since in first.items() for key in warehouse.known_keys(dataset, since=since)} & set(found)
