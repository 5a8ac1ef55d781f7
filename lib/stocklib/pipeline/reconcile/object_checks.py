"""lake → RAW, object by object: what is not loaded, what is gone, what will never be loaded, what has too few rows."""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

import orjson

from stocklib.errors import LakeError
from stocklib.lake import Lake, parse_key, start_of_hour
from stocklib.pipeline.loading.loader import OVERLAP, horizon
from stocklib.pipeline.reconcile.balance import LAKE_RAW, Problem
from stocklib.pipeline.reconcile.ledger_queries import select
from stocklib.pipeline.reconcile.ranges import Ranges
from stocklib.warehouse import DATASETS, Warehouse
from stocklib.warehouse.raw_lines import check_lines

# The datasets that come through Kafka.
KAFKA_DATASETS = {"stock_quotes", "stock_trades", "dead_letters"}
_SHOWN = 20


def to_read(listed: Mapping[str, Set[str]], loaded: Mapping[str, Set[str]]) -> list[str]:
    """Return the keys of Kafka's datasets that RAW does not hold."""
    return sorted(key for name in KAFKA_DATASETS for key in listed[name] - loaded.get(name, set()))


def gone(lake: Lake, listed: Mapping[str, Set[str]], loaded: Mapping[str, Set[str]]) -> list[Problem]:
    """Return the loaded objects that the lake no longer has."""
    problems = []
    for dataset, keys in loaded.items():
        suspects = keys - listed[dataset]
        if suspects:
            # what landed and was loaded after the first listing is no suspect
            suspects -= {found.key for found in lake.list(dataset, since=_hour(min(suspects)))}
        for key in sorted(suspects):
            what = f"{key} was loaded and is gone from the lake: a rebuild would lose its lines. Restore it"
            problems.append(Problem(LAKE_RAW, "gone", what, (key,)))
    return problems


def stranded(
    listed: Mapping[str, Set[str]], loaded: Mapping[str, Set[str]], unreadable: Mapping[str, str]
) -> list[Problem]:
    """Return the objects that no later load will load: they are unreadable, or older than what a load lists."""
    problems = [Problem(LAKE_RAW, "unreadable", reason, (key,)) for key, reason in sorted(unreadable.items())]
    bound = horizon() + OVERLAP
    for dataset, keys in listed.items():
        taken = max((key for key in loaded[dataset] if key < start_of_hour(dataset, bound)), default=None)
        newest = _hour(taken) if taken else None
        for key in sorted(keys - loaded[dataset] - unreadable.keys()):
            if newest and _hour(key) < newest - OVERLAP:
                what = f"{key} appeared in an hour that the load has left behind: `stocks rebuild` takes it in"
                problems.append(Problem(LAKE_RAW, "stranded", what, (key,)))
    return problems


def miscounted(warehouse: Warehouse, lake: Lake | None, *, datasets: Iterable[str] = DATASETS) -> list[Problem]:
    """Return the objects of which RAW does not hold every line once; the lake's object names the missing lines."""
    problems = []
    for dataset in datasets:
        for key, times, lines, found, distinct in select(warehouse, "miscounted_objects", dataset=dataset):
            if times > 1:
                what = f"{key} was loaded {times} times"
                problems.append(Problem(LAKE_RAW, "doubled", what, (key,), found - lines))
            elif times == 0:
                what = f"RAW has {found} rows of {key}, which no load remembers"
                problems.append(Problem(LAKE_RAW, "unknown", what, (key,), found))
            elif found > distinct:
                rows = select(warehouse, "line_numbers", [key], dataset=dataset)
                twice = Ranges.of(number for number, times in rows if times > 1)
                what = f"RAW has {found - distinct} lines of {key} twice: line {twice}"
                problems.append(Problem(LAKE_RAW, "doubled", what, (key,), found - distinct))
            else:
                numbers = Ranges.of(number for number, _ in select(warehouse, "line_numbers", [key], dataset=dataset))
                what = f"RAW lacks {lines - found} of {lines} lines of {key}: {_lacking(lake, dataset, key, numbers)}"
                problems.append(Problem(LAKE_RAW, "missing", what, (key,), lines - found, f"{key}: {numbers}"))
    return problems


def rejects(warehouse: Warehouse) -> list[Problem]:
    """Return the objects whose rejected lines are not all kept."""
    return [
        Problem(
            LAKE_RAW, "missing", f"raw.rejected_lines has {found} of {lines} lines of {key}", (key,), abs(lines - found)
        )
        for key, lines, found in select(warehouse, "miscounted_rejects")
    ]


def _lacking(lake: Lake | None, dataset: str, key: str, numbers: Ranges) -> str:
    """Return the lines that are not among these numbers, with their events."""
    if lake is None:
        return "`stocks ledger` names them"
    try:
        checked = check_lines(dataset, key, lake.read(key))
    except LakeError as error:
        return f"which ones is unknown: {error}"
    lost = [(n, line) for n, line in zip(checked.numbers, checked.good, strict=True) if n not in numbers]
    named = [f"line {number}{_event(line)}" for number, line in lost[:_SHOWN]]
    return ", ".join(named) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")


def _event(line: bytes) -> str:
    record = orjson.loads(line)
    headers = record.get("headers")
    if not isinstance(headers, dict) or "offset" not in record:
        return ""
    event = "/".join(str(part) for part in (headers.get("run_id"), record.get("key"), headers.get("seq")))
    return f" (event {event}, {record.get('topic')}/{record.get('partition')} offset {record['offset']})"


def _hour(key: str) -> datetime:
    return parse_key(key).landed_hour
