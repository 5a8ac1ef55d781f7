"""Batches of records: what is unpacked here is what Kafka's own client makes of the same bytes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from stocklib.stream.records import Message, read_into_messages, to_message

LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
HERE = TopicPartition("quotes", 3)
Record = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
records = st.tuples(
    st.integers(0, 2**41),
    st.none() | st.binary(max_size=200),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(texts, st.none() | st.binary(max_size=200)), max_size=4, unique_by=lambda header: header[0]),
)


def pack(wanted: Sequence[Record], *, first: int = 0, codec: int = 3, flags: int = 0) -> bytes:
    """A batch as a broker sends it; ``first`` is the offset of its first record, ``flags`` go to its attributes."""
    builder = DefaultRecordBatchBuilder(2, codec, False, 7, 0, 0, 2**30)
    for number, (time, key, value, headers) in enumerate(wanted):
        builder.append(number, time, key, value, headers)
    packed = bytearray(builder.build())
    # the broker counts offsets, outside of the checksum
    packed[:8] = first.to_bytes(8, "big")
    packed[22] |= flags
    packed[17:21] = calc_crc32c(memoryview(packed)[21:]).to_bytes(4, "big")
    return bytes(packed)


class Client:
    """As much of a consumer as reading needs."""

    def __init__(self) -> None:
        self._fetcher = type("Fetching", (), {"PartitionRecords": Fetcher.PartitionRecords})()

    def read(self, packed: bytes, *, since: int = 0, most: int = 10_000) -> list[Message]:
        self.part = self._fetcher.PartitionRecords(since, HERE, MemoryRecords(packed))
        return list(self.part.take(most))


@pytest.fixture(scope="module")
def ours() -> Client:
    client = Client()
    read_into_messages(client, {"quotes": "id-1"})
    return client


@given(
    st.lists(st.lists(records, min_size=1, max_size=5), max_size=3),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([0, LOG_APPEND_TIME, TRANSACTIONAL]),
)
def test_messages_are_those_that_the_client_makes(
    ours: Client, batches: list[list[Record]], codec: int, flags: int
) -> None:
    packed, first = b"", 2**33
    for wanted in batches:
        packed += pack(wanted, first=first, codec=codec, flags=flags)
        first += len(wanted)
    theirs = Client()
    assert ours.read(packed) == [to_message(record, "id-1") for record in theirs.read(packed)]
    assert ours.part.next_fetch_offset == theirs.part.next_fetch_offset


def test_reading_goes_on_where_it_stopped(ours: Client) -> None:
    wanted: list[Record] = [(n, b"AAPL", b"%d" % n, [("seq", b"%d" % n)]) for n in range(10)]
    assert [message.offset for message in ours.read(pack(wanted, first=100), since=104, most=3)] == [104, 105, 106]
    assert ours.part.next_fetch_offset == 107
    assert [message.offset for message in ours.part.take(100)] == [107, 108, 109]
    assert ours.part.next_fetch_offset == 110
    assert not ours.part


def test_what_marks_the_end_of_a_transaction_is_no_message_and_is_passed_over(ours: Client) -> None:
    quotes: list[Record] = [(1, b"AAPL", b"1", [])]
    packed = pack(quotes, first=5) + pack([(2, b"\0\0\0\1", b"\0" * 6, [])], first=6, flags=CONTROL | TRANSACTIONAL)
    assert [message.offset for message in ours.read(packed, since=5)] == [5]
    assert ours.part.next_fetch_offset == 7


def test_a_batch_that_was_damaged_on_the_way_is_an_error(ours: Client) -> None:
    packed = bytearray(pack([(1, b"AAPL", b"x" * 100, [])], codec=0))
    packed[-50] ^= 1
    with pytest.raises(CorruptRecordError, match="checksum"):
        ours.read(bytes(packed))
