"""Batches of records: what is unpacked here is what Kafka's own client makes of the same bytes."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from kafka.consumer.fetcher import CompletedFetch, Fetcher
from kafka.record import MemoryRecords
from streams import CONTROL, LOG_APPEND_TIME, TRANSACTIONAL, Record, damage, pack

from stocklib.stream.codecs import decompress
from stocklib.stream.messages import (
    Message,
    TopicIdPartition,
    UnreadableBatch,
    read_batches,
    read_into_messages,
)

HERE = TopicPartition("quotes", 3)


def to_message(record: Any, topic_id: str) -> Message:
    """Return the client's record as a message of the topic with this id."""
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


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
records = st.tuples(
    st.integers(0, 2**41),
    st.none() | st.binary(max_size=200),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(texts, st.none() | st.binary(max_size=200)), max_size=4, unique_by=lambda header: header[0]),
)


class Client:
    """As much of a consumer as reading needs."""

    def __init__(self) -> None:
        self._fetcher = SimpleNamespace(
            PartitionRecords=Fetcher.PartitionRecords,
            _append=self.append,
            _parse_fetched_data=lambda completed: self._fetcher.PartitionRecords(
                completed.fetched_offset, HERE, MemoryRecords(completed.partition_data.records)
            ),
        )

    def append(self, drained: dict[TopicPartition, list[Message]], part: Any, most: int, is_poll: bool) -> int:
        taken = part.take(most)
        drained.setdefault(HERE, []).extend(taken)
        return len(taken)

    def read(self, packed: bytes, *, since: int = 0, most: int = 10_000) -> list[Message]:
        answer = SimpleNamespace(records=packed, error_code=0, high_watermark=2**62, last_stable_offset=-1)
        self.part = self._fetcher._parse_fetched_data(CompletedFetch(HERE, since, 12, answer, None))
        return list(self.part.take(most))


@pytest.fixture(scope="module")
def ours() -> Client:
    client = Client()
    read_into_messages(client, {"quotes": "id-1"})
    return client


@given(
    st.lists(st.lists(records, min_size=1, max_size=5), max_size=3),
    st.sampled_from([0, 1, 2, 3, 4]),
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


def test_a_poll_returns_as_much_as_memory_has_room_for_and_goes_on_there() -> None:
    ours = Client()
    read_into_messages(ours, {"quotes": "id-1"}, poll_bytes=2_500_000)
    # a kilobyte each, that grows to a megabyte
    packed = b"".join(pack([(0, b"AAPL", bytes(10**6), [])], first=n, codec=4) for n in range(5))
    ours.read(packed, most=0)
    polled: list[list[int]] = []
    while ours.part:
        drained: dict[TopicPartition, list[Message]] = {}
        assert ours._fetcher._append(drained, ours.part, 5000, True) == (5000 if len(polled) < 1 else 2)
        polled.append([message.offset for message in drained[HERE]])
    assert polled == [[0, 1, 2], [3, 4]]


def test_what_marks_the_end_of_a_transaction_is_no_message_and_is_passed_over(ours: Client) -> None:
    quotes: list[Record] = [(1, b"AAPL", b"1", [])]
    packed = pack(quotes, first=5) + pack([(2, b"\0\0\0\1", b"\0" * 6, [])], first=6, flags=CONTROL | TRANSACTIONAL)
    assert [message.offset for message in ours.read(packed, since=5)] == [5]
    assert ours.part.next_fetch_offset == 7


def transaction(first: int, *, producer: int, flags: int = 0) -> bytes:
    """A message in a transaction of this producer, or with ``CONTROL`` what ends it: by an abort."""
    wanted: Record = (1, b"\0\0\0\0", b"\0" * 6, []) if flags else (1, b"AAPL", b"%d" % first, [])
    return pack([wanted], first=first, flags=flags | TRANSACTIONAL, producer=producer)


def test_an_aborted_transaction_is_passed_over_and_the_ones_beside_it_are_read(ours: Client) -> None:
    packed = transaction(0, producer=7) + transaction(1, producer=8) + transaction(2, producer=7, flags=CONTROL)
    packed += transaction(3, producer=7)
    ours.read(b"")
    part = ours.part
    part.aborted_transactions = deque([SimpleNamespace(producer_id=7, first_offset=0)])
    part.fetch_offset, part.record_iterator = 0, part._unpack_records(HERE, MemoryRecords(packed))
    # the later one of the same producer was not aborted
    assert [message.offset for message in part.take(10)] == [1, 3]
    assert part.next_fetch_offset == 4


THREE: list[Record] = [(n, b"AAPL", b'{"n":%d}' % n, []) for n in range(3)]
PLACE = TopicIdPartition("quotes", "id-1", 3)


def offsets(packed: bytes, *, since: int = 100, end: int | None = None) -> list[int | tuple[int, int]]:
    """What is read: offsets of messages, and first and last of what is unreadable."""
    found = read_batches(packed, PLACE, since=since, end=end)
    return [
        (one.offset, one.last) if isinstance(one, UnreadableBatch) else one.offset
        for one in found
        if isinstance(one, Message | UnreadableBatch)
    ]


BODY = pack(THREE, codec=0)[61:]


@pytest.mark.parametrize(
    ("damaged", "whole"),
    [
        pytest.param({"crc": 1}, [], id="checksum"),
        *(pytest.param({"codec": codec}, [], id=f"codec {codec}") for codec in (1, 2, 3, 4, 5, 6, 7)),
        pytest.param({"magic": 1}, [], id="before 0.11"),
        pytest.param({"magic": 3}, [], id="a form to come"),
        pytest.param({"records": 2}, [100], id="fewer than there are"),
        pytest.param({"records": 4}, [100, 101], id="more than there are"),
        pytest.param({"records": -1}, [], id="a negative number"),
        pytest.param({"body": BODY[:-1]}, [100, 101], id="cut"),
        pytest.param({"body": BODY + b"x"}, [100, 101], id="longer"),
        pytest.param({"body": b"\x30" + BODY[1:]}, [], id="garbled"),
        pytest.param({"body": b"\xff" * 100_000}, [], id="a number without an end"),
        pytest.param({"body": b""}, [], id="nothing"),
    ],
)
def test_a_batch_that_cannot_be_decoded_keeps_its_bytes_and_its_place(
    damaged: dict[str, int | bytes], whole: list[int]
) -> None:
    before, after = pack(THREE, first=97), pack(THREE, first=103)
    bad = damage(pack(THREE, first=100, codec=0), **damaged)
    since = 100 + len(whole)
    last = 100 if damaged == {"magic": 1} else 102
    assert offsets(before + bad + after, since=97) == [97, 98, 99, *whole, (since, last), 103, 104, 105]
    (lost,) = [one for one in read_batches(bad, PLACE, since=100) if isinstance(one, UnreadableBatch)]
    assert lost.raw == bad
    assert lost.reason
    assert lost[:3] == ("quotes", "id-1", 3)


@pytest.mark.parametrize(
    ("changed", "since", "end", "expected"),
    [
        # it lies about where it ends: the next batch, or else what Kafka answers next, says it
        ({"delta": -5}, 100, 106, [(100, 102), 103, 104, 105]),
        ({"delta": 2**30, "crc": 1}, 100, 106, [(100, 102), 103, 104, 105]),
        # read from its middle on, since a consumer was there already
        ({"crc": 1}, 101, 106, [(101, 102), 103, 104, 105]),
    ],
)
def test_an_unreadable_batch_never_takes_what_is_behind_it(
    changed: dict[str, int], since: int, end: int, expected: list[int | tuple[int, int]]
) -> None:
    bad = damage(pack(THREE, first=100), **changed)
    assert offsets(bad + pack(THREE, first=103), since=since, end=end) == expected
    assert offsets(bad, since=since, end=103)[0] == ((100, 100) if "delta" in changed else expected[0])


def test_a_batch_that_can_be_decoded_and_lies_about_its_end_takes_nothing_with_it() -> None:
    lie = damage(pack(THREE, first=100), delta=2**30)
    assert offsets(lie + pack(THREE, first=103), end=106) == [100, 101, 102, 103, 104, 105]
    *_, batch = read_batches(lie, PLACE, since=100, end=103)
    assert batch.last == 102


def test_of_a_batch_that_never_comes_whole_what_came_is_kept() -> None:
    packed = pack(THREE, first=100)
    assert offsets(packed[:-1]) == [(100, 102)]
    assert offsets(packed[:30]) == [(100, 100)]
    assert offsets(packed[:5]) == [(100, 100)]
    assert offsets(damage(packed, length=-60)) == [(100, 102)]
    # behind a whole one it is only what did not fit into the answer
    assert offsets(packed + packed[:-1], since=100) == [100, 101, 102]


def test_what_is_unreadable_is_fetched_twice_before_it_is_believed() -> None:
    client = Client()
    read_into_messages(client, {"quotes": "id-1"})
    packed = pack(THREE, first=100) + damage(pack(THREE, first=103), crc=1)
    assert [message.offset for message in client.read(packed, since=100)] == [100, 101, 102]
    assert client.part.next_fetch_offset == 103
    assert [message.last for message in client.read(packed, since=103)] == [105]
    assert client.part.next_fetch_offset == 106


@pytest.mark.parametrize(
    ("codec", "encode"), [(1, gzip_encode), (2, snappy_encode), (3, lz4_encode), (4, zstd_encode), (2, None)]
)
def test_what_grows_beyond_the_limit_is_refused_before_it_fills_the_memory(codec: int, encode: object) -> None:
    bomb = encode(b"a" * 3_000_000) if callable(encode) else b"\xff\xff\xff\xff\x0f" + b"a" * 10
    with pytest.raises(ValueError, match="grows to more than 1 MiB"):
        decompress(codec, bomb, limit=2**20)
    if callable(encode):
        assert decompress(codec, bomb) == b"a" * 3_000_000
