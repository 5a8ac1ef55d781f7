"""Kafka's record batches decoded as messages, twice as fast as the client decodes them.

The bytes of a broker become ``Message`` directly, since reading limits how fast quotes land. The format is version 2 of
https://kafka.apache.org/documentation/#recordbatch, which every broker since 0.11 sends; the client does the fetching.
Bytes that cannot be unpacked become an ``UnreadableBatch`` at their position among the messages, and reading goes on
after it.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from kafka.errors import KafkaError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import calc_crc32c

from stocklib.stream.codecs import decompress

# Offset and length, which say where the next record batch begins; and the size of the whole header before the records.
_PREFIX = struct.Struct(">qi")
_HEADER_SIZE = DefaultRecordBatch.HEADER_STRUCT.size
_MAGIC_AT, _CHECKED_FROM, _VERSION = 16, DefaultRecordBatch.ATTRIBUTES_OFFSET, 2
# Before version 2 a batch was one message, with at least so many bytes behind its prefix.
_LEAST_BYTES = 14
# Our runs do not count further: a larger seq comes from another program.
MAX_SEQ = 10**12
# Only as we write it, so that two texts never name the same event.
_SEQ = re.compile(r"[1-9][0-9]{0,12}")
# No number of a record is longer.
_VARINT_BITS = 70
# A poll returns no more bytes of payload than this, and one message: a small batch may grow to a large one.
_POLL_BYTES = 64 * 2**20
# How many unreadable bytes are kept where their end is unknown.
_SAMPLE_BYTES = 64 * 2**10


class Message(NamedTuple):
    """A message as read. ``timestamp_ms`` is the record's own; invalid UTF-8 in key and headers is escaped."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    value: bytes | None
    headers: dict[str, str]

    @property
    def last(self) -> int:
        """Same as ``offset``: a message then stands where an ``UnreadableBatch`` may."""
        return self.offset


def event_seq(headers: Mapping[str, Any]) -> int | None:
    """Return an event's number in its run and symbol; None where a message lacks one of our headers.

    >>> event_seq({"run_id": "replay-1", "source": "replay", "seq": "17"})
    17
    >>> event_seq({"run_id": "replay-1", "source": "replay", "seq": "-1"}), event_seq({"run_id": "r", "seq": "17"})
    (None, None)
    """
    seq = headers.get("seq")
    if not (headers.get("run_id") and headers.get("source") and isinstance(seq, str) and _SEQ.fullmatch(seq)):
        return None
    return int(seq) if int(seq) <= MAX_SEQ else None


class UnreadableBatch(NamedTuple):
    """A record batch that cannot be decoded: its offsets ``offset`` to ``last``, the reason and the bytes."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    last: int
    reason: str
    raw: bytes


class ReadBatch(NamedTuple):
    """The end of a readable record batch: its last offset, which compaction may have left without a message."""

    last: int
    leader_epoch: int


def read_into_messages(
    client: Any, ids: Mapping[str, str], *, up_to_open: bool = False, poll_bytes: int = _POLL_BYTES
) -> None:
    """Make ``poll`` of a ``KafkaConsumer`` return messages and unreadable batches.

    It replaces private methods of kafka-python 3, which the dependency's version is bound to.
    ``ids`` maps topics to their ids, and may change later. Unreadable bytes are fetched a second time before they are
    reported. With ``up_to_open`` a partition's high watermark is where its first open transaction begins: no reader can
    read further yet. A poll returns ``poll_bytes`` of payload and one message at most.
    """
    fetcher = client._fetcher
    parse, own, append = fetcher._parse_fetched_data, fetcher.PartitionRecords, fetcher._append
    doubted: dict[Any, tuple[int, int]] = {}
    room = poll_bytes

    class PartitionMessages(own):  # type: ignore[misc, valid-type]
        end: int | None = None
        next_fetch_offset: int

        def take(self, n: int | None = None) -> list[Message | UnreadableBatch]:
            nonlocal room
            self._maybe_raise_next_inline_exception()
            found: list[Message | UnreadableBatch] = []
            try:
                for one in islice(self.record_iterator, n):
                    found.append(one)
                    # the value of a message, or the bytes of an unreadable batch: both are field 6
                    room -= len(one[6] or b"")
                    if room <= 0:
                        break
            except Exception as error:
                if not found:
                    raise
                # raised by the next call
                self._next_inline_exception = error
            return found

        def _unpack_records(self, partition: Any, records: Any, *_: Any) -> Iterator[Message | UnreadableBatch]:
            data = bytes(records._buffer)
            place = TopicIdPartition(partition.topic, ids.get(partition.topic, ""), partition.partition)
            for found in read_batches(data, place, since=self.fetch_offset, end=self.end, skips=self._is_aborted):
                if isinstance(found, Message):
                    self.records_read += 1
                    self.next_fetch_offset = found.offset + 1
                    yield found
                    continue
                if isinstance(found, ReadBatch):
                    # beyond the last message, where the batch was compacted
                    self.next_fetch_offset = max(self.next_fetch_offset, found.last + 1)
                    self.leader_epoch = found.leader_epoch
                    continue
                mark = found.offset, hash(found.raw)
                if doubted.get(partition) != mark:
                    doubted[partition] = mark
                    break
                self.next_fetch_offset = found.last + 1
                yield found
            self.bytes_read += len(data)
            self.drain()

        def _is_aborted(self, batch: DefaultRecordBatch) -> bool:
            """Return whether it belongs to an aborted transaction; False where the broker was not asked for those."""
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if batch.is_control_batch:
                self.aborted_producer_ids.discard(batch.producer_id)
            return batch.is_transactional and batch.producer_id in self.aborted_producer_ids

    def parse_fetched_data(completed: Any) -> Any:
        data = completed.partition_data.records
        try:
            found = parse(completed)
        except KafkaError:
            if completed.partition_data.error_code or not data:
                raise
            # the first batch is incomplete: the client would ask for it for ever
            found = fetcher.PartitionRecords(
                completed.fetched_offset,
                completed.topic_partition,
                MemoryRecords(data),
                metric_aggregator=completed.metric_aggregator,
                on_drain=fetcher._on_partition_records_drain,
            )
        if found is not None:
            found.end = completed.partition_data.high_watermark
            stable = completed.partition_data.last_stable_offset
            if up_to_open and 0 <= stable < found.end:
                fetcher._subscriptions.assignment[completed.topic_partition].highwater = stable
        return found

    def append_messages(drained: Any, part: Any, most: int, *rest: Any) -> int:
        """Return how much of a poll is used: all of it where there is no room for more."""
        nonlocal room
        if not drained:
            room = poll_bytes
        taken: int = append(drained, part, most, *rest)
        return taken if room > 0 else most

    fetcher._append = append_messages
    fetcher.PartitionRecords = PartitionMessages
    fetcher._parse_fetched_data = parse_fetched_data


class TopicIdPartition(NamedTuple):
    """A partition of one creation of a topic, as Kafka names it."""

    topic: str
    topic_id: str
    partition: int


def read_batches(
    data: bytes,
    place: TopicIdPartition,
    *,
    since: int,
    end: int | None = None,
    skips: Callable[[DefaultRecordBatch], bool] = lambda batch: False,
) -> Iterator[Message | UnreadableBatch | ReadBatch]:
    """Yield what a broker sent, in order: messages, unreadable batches, and the end of each readable batch.

    ``since`` is the requested offset, ``end`` the first that the partition does not have yet. A batch for which
    ``skips`` is true yields no messages. An incomplete last batch is left out: it comes with the next answer.
    """
    at, reached, last = 0, since, -1
    while at < len(data):
        raw = _cut_batch(data, at)
        if raw is None:
            if at == 0:
                yield _unreadable(place, data, since, "it is cut off", before=max(end or 2**62, since + 1))
            return
        at += len(raw)
        following = _PREFIX.unpack_from(data, at)[0] if len(data) - at >= _PREFIX.size else None
        # it cannot reach that far, although it says so
        bound = min(number for number in (end, following, 2**62) if number is not None and number > reached)
        behind = reached
        try:
            batch = _open_batch(raw, after=last)
            # what marks the end of a transaction is for brokers only
            if not (skips(batch) or batch.is_control_batch):
                for message in unpack(batch, raw, place):
                    yield message
                    behind = message.offset + 1
        except (ValueError, IndexError) as error:
            reached = max(reached, behind)
            lost = _unreadable(place, raw, reached, str(error), before=bound, is_sure=bound == following)
            reached, last = lost.last + 1, lost.last
            yield lost
        else:
            last = batch.last_offset if batch.last_offset < bound else max(reached, behind) - 1
            reached = max(reached, last + 1)
            yield ReadBatch(last, batch.leader_epoch)


def unpack(batch: DefaultRecordBatch, raw: bytes, place: TopicIdPartition) -> Iterator[Message]:
    """Yield the messages of a batch; ``IndexError`` or ``ValueError`` where it is damaged."""
    data, at = decompress(batch.compression_type, raw[_HEADER_SIZE:]), 0
    topic, topic_id, partition = place
    base, since, before, last = batch.base_offset, batch.first_timestamp, batch.base_offset - 1, batch.last_offset
    # a topic may keep the brokers' time, one for a whole batch
    appended = batch.max_timestamp if batch.timestamp_type else None
    for left in range(batch.records_count - 1, -1, -1):
        length, at = _varint(data, at)
        end = at + length
        time, at = _varint(data, at + 1)
        offset, at = _varint(data, at)
        size, at = _varint(data, at)
        key = None
        if size >= 0:
            key = data[at : at + size].decode("utf-8", "backslashreplace")
            at += size
        size, at = _varint(data, at)
        value = None
        if size >= 0:
            value = data[at : at + size]
            at += size
        count, at = _varint(data, at)
        headers = {}
        for _ in range(count):
            size, at = _varint(data, at)
            if size < 0:
                raise ValueError("a header without a name")
            name = _name(data[at : at + size])
            at += size
            size, at = _varint(data, at)
            headers[name] = "" if size < 0 else data[at : at + size].decode("utf-8", "backslashreplace")
            at += max(0, size)
        if at != end or not before < base + offset <= last:
            raise ValueError(f"the record at byte {end - length} is damaged")
        before = base + offset
        # damage behind a record is noticed while an offset is left to report it under
        if (at != len(data)) is not bool(left) or (left and before == last):
            raise ValueError(f"{left} records are missing after the one of offset {before}, in {len(data) - at} bytes")
        timestamp = since + time if appended is None else appended
        yield Message(topic, topic_id, partition, before, timestamp, key, value, headers)
    if batch.records_count <= 0 and data:
        raise ValueError(f"{batch.records_count} records in {len(data)} bytes")


def _cut_batch(data: bytes, at: int) -> bytes | None:
    """Return the bytes of the batch that begins here; None where it is incomplete."""
    if len(data) - at < _PREFIX.size:
        return None
    end = at + _PREFIX.size + _PREFIX.unpack_from(data, at)[1]
    return data[at:end] if at + _PREFIX.size + _LEAST_BYTES <= end <= len(data) else None


def _open_batch(raw: bytes, *, after: int) -> DefaultRecordBatch:
    """Return the header of a batch that begins behind offset ``after``; ``ValueError`` where it is wrong."""
    if (magic := raw[_MAGIC_AT]) < _VERSION:
        raise ValueError("it was written for Kafka before 0.11: copy it to a new topic")
    if magic > _VERSION or len(raw) < _HEADER_SIZE:
        raise ValueError(f"its form is unknown (version {magic}, {len(raw)} bytes)")
    batch = DefaultRecordBatch(raw[:_HEADER_SIZE])
    if calc_crc32c(memoryview(raw)[_CHECKED_FROM:]) != batch.crc:
        raise ValueError("its checksum is wrong")
    if batch.last_offset_delta < 0 or batch.base_offset <= after:
        raise ValueError(f"its offsets {batch.base_offset} to {batch.last_offset} are wrong")
    return batch


def _unreadable(
    place: TopicIdPartition, raw: bytes, since: int, reason: str, *, before: int, is_sure: bool = False
) -> UnreadableBatch:
    """Return the batch as unreadable from ``since`` or its own first offset on, whichever is later.

    It ends where its header says, as long as that is ``before`` what comes next. Else it ends there where
    ``is_sure`` says that a batch follows, or after one message: the next fetch asks for what is behind it.
    """
    first = last = _PREFIX.unpack_from(raw)[0] if len(raw) >= _PREFIX.size else -1
    if len(raw) >= _HEADER_SIZE and raw[_MAGIC_AT] >= _VERSION:
        last = DefaultRecordBatch(raw[:_HEADER_SIZE]).last_offset
    if since <= last < before and first <= last:
        return UnreadableBatch(*place, max(first, since), last, reason, raw)
    last = before - 1 if is_sure else since
    return UnreadableBatch(*place, since, last, reason, raw if is_sure else raw[:_SAMPLE_BYTES])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length and zigzag sign, and where it ends."""
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + 1
        shift += 7
        if shift > _VARINT_BITS:
            raise ValueError(f"the number at byte {at} has no end")


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
