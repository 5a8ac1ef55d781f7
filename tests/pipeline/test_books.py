"""The ledger's arithmetic: whatever is taken away or repeated is named, and nothing else is."""

from collections import defaultdict
from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklib.pipeline.landing import validation
from stocklib.pipeline.reconcile import comparison
from stocklib.pipeline.reconcile.balance import CONFIRMED, KAFKA_LAKE, RAW_SILVER, Balance, Problem
from stocklib.pipeline.reconcile.dead_letters import DeadLetter, once
from stocklib.pipeline.reconcile.evidence import KafkaEvidence, LakeEvidence, Sighting, read_confirmed
from stocklib.pipeline.reconcile.ledger_inputs import LedgerInputs, WarehouseCounts
from stocklib.pipeline.reconcile.ranges import Ranges
from stocklib.stream import Message, Position

PLACE = ("quotes", "id-1", 0)
numbers = st.sets(st.integers(0, 60))


@given(numbers, numbers)
def test_ranges_are_sets_of_numbers(some: set[int], others: set[int]) -> None:
    left, right = Ranges.of(some), Ranges.of(others)
    assert set(left | right) == some | others
    assert set(left - right) == some - others
    assert set(left & right) == some & others
    assert (len(left), bool(left), list(left)) == (len(some), bool(some), sorted(some))
    assert all((number in left) == (number in some) for number in range(62))
    # as few as can be: never two that touch
    assert all(first[1] + 1 < second[0] for first, second in zip(left.pairs, left.pairs[1:], strict=False))


@dataclass(frozen=True)
class Fate:
    """Where one message came to: in RAW, landed, a dead letter, beyond the committed offset, or nowhere."""

    place: str
    times: int = 1


fates = st.lists(st.sampled_from(["raw", "lake", "dead", "raw and lake", "lost"]), max_size=30)


def books_of(places: list[str], waiting: int) -> LedgerInputs:
    """A partition of one symbol: message n has seq n + 1; the last ``waiting`` ones are beyond the committed offset."""
    committed, end = len(places), len(places) + waiting
    by_place = defaultdict(list)
    for offset, place in enumerate(places):
        for each in place.split(" and "):
            by_place[each].append(offset)
    raw = Ranges.of(by_place["raw"])
    return LedgerInputs(
        confirmed={("run", "AAPL"): end} if end else {},
        kafka=KafkaEvidence([Position(*PLACE, 0, committed, end)], [sighting(n) for n in range(committed, end)]),
        lake=LakeEvidence({"some-object": [sighting(offset) for offset in by_place["lake"]]}),
        dead_letters=[letter(offset) for offset in by_place["dead"]],
        answers={
            "stock_quotes": WarehouseCounts(
                offsets=[(*PLACE, *pair) for pair in raw.pairs],
                seqs=[("run", "AAPL", first + 1, last + 1) for first, last in raw.pairs],
            )
        },
    )


def sighting(offset: int) -> Sighting:
    return Sighting(*PLACE, offset, "run", "AAPL", offset + 1, None)


def letter(offset: int) -> DeadLetter:
    headers = {"run_id": "run", "source": "replay", "seq": str(offset + 1), "reason": "odd"}
    return DeadLetter(*PLACE, offset, 0, "AAPL", headers, b"", ("dlq", "id-2", 0, offset), "in RAW")


def test_what_kafka_deleted_before_anything_landed_is_missing() -> None:
    books = LedgerInputs(kafka=KafkaEvidence([Position(*PLACE, 15, 15, 20)], [sighting(n) for n in range(15, 20)]))
    assert comparison.missing_offsets(books) == {PLACE: Ranges.over([(0, 14)])}
    *_, problems = comparison.compare(books)
    assert "offsets 0-14" in str(problems[0])
    assert "Kafka has deleted them" in str(problems[0])


def test_what_a_stranger_says_of_runs_and_offsets_is_no_loss() -> None:
    books = books_of(["raw", "raw"], 1)
    # a run that nobody knows, and ours with numbers that Kafka never confirmed
    for place, run, seq in ((0, "forged", 10**12), (1, "run", 10**9), (2, "run", 500)):
        books.kafka.waiting.append(Sighting("quotes", "id-1", 0, 3 + place, run, "AAPL", seq, None))
    # letters about messages that never were: beyond the end, of no topic of ours, of a partition that is none
    for topic, offset in (("quotes", 10**15), ("elsewhere", 3), ("elsewhere", 2**63 - 1)):
        books.dead_letters.append(
            DeadLetter(topic, "id-1", 0, offset, 0, None, {}, b"", ("dlq", "id-2", 0, 0), "in RAW")
        )
    rows, runs, problems = comparison.compare(books)
    assert problems == []
    assert {run.run_id: (run.lost, run.unproven) for run in runs} == {
        "forged": (0, 10**12 - 1),
        "run": (0, 10**9 - 5),
    }
    (remark,) = Balance(None, tuple(rows), tuple(runs)).remarks  # type: ignore[arg-type]
    assert "999,999,999,999 of AAPL in run forged" in remark
    # what a producer had confirmed is lost all the same
    books.confirmed["run", "AAPL"] = 5
    assert [one.what.split(";")[0] for one in comparison.compare(books)[2]] == [
        "2 events of AAPL in run run are lost, seq 4-5"
    ]


@pytest.mark.parametrize("forged", ["9" * 18, str(2**63 - 1), "²", "-1"])
def test_a_letter_is_where_it_says_only_if_that_can_be(forged: str) -> None:
    message = Message("dlq", "id-2", 0, 7, -1, None, b"x", {"last_offset": forged})
    line = orjson.loads(validation.format_dead_letter(message))
    for letter in (DeadLetter.of_message(message), DeadLetter.of_record(line, place="in RAW")):
        assert (letter.origin, letter.count, letter.is_batch) == (("dlq", "id-2", 0, 7), 1, False)
    origin = {"topic": "quotes", "topic_id": "id-1", "partition": forged, "offset": "3"}
    assert DeadLetter.of_message(message._replace(headers=origin)).origin == ("dlq", "id-2", 0, 7)


@given(fates, st.integers(0, 3))
def test_what_is_nowhere_is_lost_and_nothing_else_is(places: list[str], waiting: int) -> None:
    books = books_of(places, waiting)
    rows, runs, problems = comparison.compare(books)
    lost = Ranges.of(offset for offset, place in enumerate(places) if place == "lost")
    by_hop = {hop: [one for one in problems if one.hop == hop] for hop in (KAFKA_LAKE, CONFIRMED)}
    # the letters' own topic has no position here, and nothing of it is missing but what lies between them
    of_quotes = [one for one in by_hop[KAFKA_LAKE] if "of quotes/0" in one.what]
    assert sum(one.count for one in of_quotes) == len(lost)
    assert [f"offsets {Ranges((pair,))} (" in one.what for pair, one in zip(lost.pairs, of_quotes, strict=True)].count(
        False
    ) == 0
    assert sum(one.count for one in by_hop[CONFIRMED]) == len(lost)
    assert sum(run.lost for run in runs) == len(lost)
    assert sum(row.lost for row in rows if row.topic == "quotes") == len(lost)
    # every confirmed event is in exactly one place, or lost
    assert all(run.confirmed == run.in_raw + run.in_lake + run.in_kafka + run.dead_letters + run.lost for run in runs)


@given(fates)
def test_where_kafka_or_the_lake_is_silent_no_loss_is_claimed(places: list[str]) -> None:
    books = books_of(places, 0)
    books.unchecked = {KAFKA_LAKE: "down", CONFIRMED: "down"}
    assert comparison.compare(books)[2] == []


def test_a_gap_keeps_its_id_when_other_gaps_come_and_go() -> None:
    alone = comparison.compare(books_of(["raw", "lost", "raw"], 0))[2]
    beside = comparison.compare(books_of(["raw", "lost", "raw", "raw", "lost", "raw"], 0))[2]
    assert {one.id for one in alone} < {one.id for one in beside}
    known = Balance(None, problems=tuple(beside)).accepting([one.id for one in alone])  # type: ignore[arg-type]
    assert not known.is_balanced
    assert known.accepting([one.id for one in beside]).is_balanced


def test_a_topic_that_was_made_anew_is_another_one() -> None:
    books = books_of(["raw", "raw"], 0)
    # the old topic of that name: its offsets begin where they were first seen
    books.answers["stock_trades"] = WarehouseCounts(offsets=[("quotes", "id-0", 0, 5, 7), ("quotes", "id-0", 0, 9, 9)])
    (problem,) = comparison.compare(books)[2]
    assert "offsets 8 (topic id id-0)" in problem.what


def test_silver_s_sums_are_judged_both_ways() -> None:
    found = comparison.compare_silver(
        "stock_quotes",
        WarehouseCounts(
            missing=[("key", 3, "run/AAPL/4", "quotes", 0, 17)],
            doubled=[("run/AAPL/5", 3)],
            miscounted=[("AAPL", "2012-12-14", 10, 9), ("IBM", "2012-12-14", 10, 12)],
        ),
    )
    assert [(one.hop, one.kind, one.count) for one in found] == [
        (RAW_SILVER, "missing", 1),
        (RAW_SILVER, "doubled", 2),
        (RAW_SILVER, "lost", 1),
        (RAW_SILVER, "doubled", 2),
    ]
    assert str(found[0]).endswith("line 3 of key [key]")


def test_every_heartbeat_that_confirms_counts_and_a_broken_one_does_not_stop_the_ledger(tmp_path) -> None:
    folder = tmp_path / "heartbeats"
    folder.mkdir()
    (folder / "producer.json").write_text('{"run_id":"a","topic":"quotes","confirmed":{"AAPL":7}}')
    (folder / "a.json").write_text('{"run_id":"a","topic":"quotes","confirmed":{"AAPL":5,"IBM":2}}')
    (folder / "trades.json").write_text('{"run_id":"b","topic":"trades","confirmed":{"AAPL":3}}')
    (folder / "other.json").write_text('{"run_id":"c","topic":"elsewhere","confirmed":{"AAPL":3}}')
    (folder / "loader.json").write_text('{"run_id":"d","state":"loading"}')
    (folder / "half.json").write_text('{"run_id":')
    (folder / "consumer-12.json").write_text("")
    found, (damaged,) = read_confirmed(tmp_path, {"quotes", "trades"})
    assert found == {("a", "AAPL"): 7, ("a", "IBM"): 2, ("b", "AAPL"): 3}
    assert damaged.startswith(f"{folder / 'half.json'} is torn, or not JSON")
    assert read_confirmed(tmp_path / "nothing", {"quotes"}) == ({}, [])


def test_a_message_that_was_refused_twice_is_one_letter() -> None:
    first, again = letter(4), DeadLetter(*PLACE, 4, 0, "AAPL", {}, b"", ("dlq", "id-2", 0, 99), "in Kafka")
    assert once([first, again, letter(2)]) == [letter(2), first]
    assert Problem("hop", "kind", "what").id == Problem("hop", "kind", "what", ("object",), 3).id
