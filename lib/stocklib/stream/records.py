"""Batches of records as messages, twice as fast as the client makes records of them.

What a broker sends is unpacked straight into ``Message``: reading is what bounds how fast quotes land. The form is that
of https://kafka.apache.org/documentation/#recordbatch (its second version, which every broker since 0.11 speaks);
fetching, checksums and decompression stay the client's.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple


class Message(NamedTuple):
    """What was read. ``timestamp_ms`` is the record's own; in key and headers, bytes that are no UTF-8 are escaped."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    value: bytes | None
    headers: dict[str, str]


def read_into_messages(client: Any, ids: Mapping[str, str]) -> None:
    """Have a ``KafkaConsumer`` return messages from ``poll``; ``ids`` are those of the topics, as they are then."""
    from kafka.errors import CorruptRecordError

    own = client._fetcher.PartitionRecords

    class PartitionMessages(own):  # type: ignore[misc, valid-type]
        def _unpack_records(self, partition: Any, records: Any, *_: Any) -> Iterator[Message]:
            while (batch := records.next_batch()) is not None:
                if batch.magic < 2:
                    raise CorruptRecordError(f"{partition} was written for Kafka before 0.11: copy it to a new topic")
                if not batch.validate_crc():
                    raise CorruptRecordError(f"{partition} at offset {batch.base_offset}: the checksum is wrong")
                self.leader_epoch = batch.leader_epoch
                try:
                    for message in unpack(batch, partition.topic, ids.get(partition.topic, ""), partition.partition):
                        self.records_read += 1
                        self.next_fetch_offset = message.offset + 1
                        yield message
                except (ValueError, IndexError) as error:
                    raise CorruptRecordError(f"{partition} at offset {batch.base_offset}: {error!r}") from error
                self.bytes_read += batch.size_in_bytes
                # beyond the last message, where the batch was compacted
                self.next_fetch_offset = batch.next_offset
            self.drain()

    client._fetcher.PartitionRecords = PartitionMessages


def unpack(batch: Any, topic: str, topic_id: str, partition: int) -> Iterator[Message]:
    """The messages of a batch, one after the other; ``IndexError`` or ``ValueError`` where it is damaged."""
    # those that mark the end of a transaction are for the brokers themselves
    if batch.is_control_batch:
        return
    batch._maybe_uncompress()
    data, at = bytes(batch._buffer), batch._pos
    base, since = batch.base_offset, batch.first_timestamp
    # a topic may keep the time of the brokers, which is one a batch
    appended = batch.max_timestamp if batch.timestamp_type else None
    for _ in range(batch.records_count):
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
            name = _name(data[at : at + size])
            at += size
            size, at = _varint(data, at)
            headers[name] = "" if size < 0 else data[at : at + size].decode("utf-8", "backslashreplace")
            at += max(0, size)
        if at != end:
            raise ValueError(f"a record of {length} bytes ends at {at}, not at {end}")
        timestamp = since + time if appended is None else appended
        yield Message(topic, topic_id, partition, base + offset, timestamp, key, value, headers)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes behind the last record")


def to_message(record: Any, topic_id: str) -> Message:
    """The client's record as a message of the topic with this id."""
    return Message(
        record.topic,
        topic_id,
        record.partition,
        record.offset,
        record.timestamp,
        None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
        record.value,
        {name: (text or b"").decode("utf-8", "backslashreplace") for name, text in record.headers},
    )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and zigzag sign, and where it ends."""
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


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
