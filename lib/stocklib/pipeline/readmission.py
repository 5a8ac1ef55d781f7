"""dead letters → lake, after a fix: each is validated again, and lands as a line of its dataset.

The line keeps the message's own identity (topic id, partition, offset) and headers (run_id, seq), so that silver counts
the event once, however often a step is repeated. Several lines go into one object.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from stocklib.errors import InputError, LakeError, StreamError
from stocklib.lake import Lake, name_batch
from stocklib.pipeline.landing import validation
from stocklib.pipeline.reconcile import object_checks
from stocklib.pipeline.reconcile.comparison import PartitionKey, held_offsets
from stocklib.pipeline.reconcile.dead_letters import DeadLetter, loaded_letters, once, read_letters
from stocklib.pipeline.reconcile.evidence import list_lake, read_objects
from stocklib.pipeline.reconcile.ledger_inputs import LedgerInputs, WarehouseCounts
from stocklib.pipeline.reconcile.ledger_queries import STREAMS, Span, loaded_keys, select
from stocklib.pipeline.reconcile.ranges import Ranges
from stocklib.pipeline.transform import TransformSummary, transform
from stocklib.settings import Settings
from stocklib.stream import Inspector, Message
from stocklib.warehouse import open_warehouse

log = logging.getLogger(__name__)

_LINES = 5000


@dataclass(frozen=True)
class DeadLetters:
    """Every dead letter, which of them were re-admitted, and notes on systems that did not answer."""

    dead_letters: list[DeadLetter]
    admitted: Mapping[PartitionKey, Ranges]
    notes: list[str]

    def is_readmitted(self, dead_letter: DeadLetter) -> bool:
        """Return whether the message is in its dataset now."""
        admitted = self.admitted.get(dead_letter.origin[:3], Ranges())
        return dead_letter.is_ours and not dead_letter.is_batch and dead_letter.offset in admitted

    def find(self, wanted: str) -> DeadLetter:
        """Return the dead letter with this id; the part after the @ is optional where the rest is unique."""
        found = [one for one in self.dead_letters if one.id == wanted or one.id.partition("@")[0] == wanted]
        if len(found) != 1:
            what = "no dead letter has" if not found else f"{', '.join(one.id for one in found)} all have"
            raise InputError(f"{what} the id {wanted}; `stocks dlq list` shows the ids")
        return found[0]


@dataclass(frozen=True)
class Outcome:
    """The result for a dead letter: ``readmitted`` in the object ``key``, ``already`` there, or ``refused``."""

    dead_letter: DeadLetter
    state: str
    reason: str = ""
    key: str = ""

    def __str__(self) -> str:
        return f"{self.dead_letter.id}: {self.state}" + "".join(f": {text}" for text in (self.reason, self.key) if text)


def read_everywhere(settings: Settings) -> DeadLetters:
    """Return the dead letters in RAW, in the lake and in Kafka; a system that is down is noted and left out."""
    lake, warehouse = Lake(settings), open_warehouse(settings)
    notes: list[str] = []
    in_kafka: list[DeadLetter] = []
    try:
        in_kafka = read_letters(settings)
    except StreamError as error:
        notes.append(f"dead letters that have not landed are not shown: {error}")
    listed: dict[str, set[str]] = {}
    try:
        lake.ensure_bucket()
        listed = list_lake(lake)
    except LakeError as error:
        notes.append(f"dead letters that are not loaded are not shown: {error}")
    inputs = LedgerInputs()
    with warehouse.writing():
        warehouse.initialise()
        in_raw = loaded_letters(warehouse)
        loaded = {dataset: loaded_keys(warehouse, dataset) for dataset in listed}
        built = warehouse.last_build() is not None
        for stream in STREAMS if built else ():
            offsets = select(warehouse, "offset_ranges", stream=stream, span=Span())
            inputs.answers[stream.dataset] = WarehouseCounts(offsets=offsets)
    if listed:
        inputs.lake = read_objects(lake, object_checks.to_read(listed, loaded if built else {}))
    return DeadLetters(once([*in_raw, *inputs.lake.dead_letters, *in_kafka]), held_offsets(inputs), notes)


def readmit(
    settings: Settings, chosen: Sequence[DeadLetter], *, known: DeadLetters, payload: bytes | None = None
) -> list[Outcome]:
    """Validate these again, and land those that are valid now. ``payload`` replaces that of a single dead letter.

    The next load loads what lands. After a kill, run it again.
    """
    if payload is not None and len(chosen) != 1:
        raise InputError(f"a payload belongs to one dead letter, and {len(chosen)} were chosen")
    lake, outcomes = Lake(settings), []
    good: dict[tuple[str, PartitionKey], list[tuple[DeadLetter, bytes]]] = defaultdict(list)
    for dead_letter in chosen:
        if known.is_readmitted(dead_letter):
            outcomes.append(Outcome(dead_letter, "already", "it is in its dataset"))
            continue
        try:
            dataset, line = _validate(settings, dead_letter, payload)
        except InputError as error:
            outcomes.append(Outcome(dead_letter, "refused", str(error)))
        else:
            good[dataset, dead_letter.origin[:3]].append((dead_letter, line))
    for (dataset, _), found in good.items():
        outcomes += _land(lake, dataset, sorted(found, key=lambda one: one[0].offset))
    return outcomes


def revalidate_quarantined(settings: Settings) -> tuple[int, int, TransformSummary]:
    """Rebuild silver by the current rules; return how many quotes were quarantined before, and after."""
    before = _quarantined(settings)
    done = transform(settings, full_refresh=True)
    return before, _quarantined(settings), done


def _quarantined(settings: Settings) -> int:
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        warehouse.initialise()
        if warehouse.last_build() is None:
            return 0
        return int(warehouse.read("select count(*) from silver.quarantined_quotes")[0][0])


def _validate(settings: Settings, dead_letter: DeadLetter, payload: bytes | None) -> tuple[str, bytes]:
    """Return the dataset and the line of a dead letter that is valid now; ``InputError`` says why it is not."""
    takers = {
        settings.kafka_topic: ("stock_quotes", validation.validate_quote, "symbol"),
        settings.kafka_trades_topic: ("stock_trades", validation.validate_trade, "s"),
    }
    if dead_letter.is_batch:
        raise InputError(
            f"it is the bytes of a batch of {dead_letter.count} messages, which cannot be decoded: mend its "
            "producer, and let it send them again"
        )
    if not dead_letter.is_ours or dead_letter.topic not in takers:
        raise InputError(f"it did not come from {' or '.join(takers)}, and no other topic has a dataset")
    dataset, validate, name = takers[dead_letter.topic]
    message = Message(
        *dead_letter.origin, dead_letter.timestamp_ms, dead_letter.key, dead_letter.payload, dead_letter.own_headers
    )
    if payload is not None:
        message = message._replace(value=payload)
    elif dead_letter.is_cut:
        message = _original(settings, dead_letter)
    line = validation.format_line(message)
    if reason := validate(message.value) or validation.validate_line(line):
        raise InputError(f"still invalid: {reason}")
    symbol = orjson.loads(message.value or b"")[name]
    if message.key is not None and symbol != message.key:
        raise InputError(f"its {name} is {symbol}, and it was sent for {message.key}")
    return dataset, line


def _original(settings: Settings, dead_letter: DeadLetter) -> Message:
    """Return the whole message of a dead letter that kept the beginning, from Kafka, where it is still there."""
    missing = "only the beginning of its payload was kept, and Kafka lacks the rest: give it with --payload-file"
    try:
        with Inspector(settings) as inspector:
            for position in inspector.positions([dead_letter.topic]):
                if position[:3] == dead_letter.origin[:3]:
                    end = min(dead_letter.offset + 1, position.end)
                    original = next(inspector.read(position, first=dead_letter.offset, end=end), None)
                    if isinstance(original, Message):
                        return original
    except StreamError as error:
        raise InputError(f"{missing} ({error})") from error
    raise InputError(missing)


def _land(lake: Lake, dataset: str, found: list[tuple[DeadLetter, bytes]]) -> Iterator[Outcome]:
    for some in (found[start : start + _LINES] for start in range(0, len(found), _LINES)):
        first, last = some[0][0], some[-1][0]
        what = name_batch(first.topic, first.partition, first=first.offset, last=last.offset)
        key = lake.write(dataset, what, [line for _, line in some], landed=datetime.now(UTC))
        log.info("re-admitted %d dead letters of %s/%d in %s", len(some), first.topic, first.partition, key)
        for dead_letter, _ in some:
            yield Outcome(dead_letter, "readmitted", "", key)
