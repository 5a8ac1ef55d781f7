"""Dead letters: listed, shown, and re-admitted once a fix makes them good, whatever is repeated or killed."""

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from landed import Poll
from story import session_polls

from stocklib.errors import InputError
from stocklib.lake import Lake
from stocklib.pipeline.landing import land
from stocklib.pipeline.loading import load
from stocklib.pipeline.readmission import DeadLetters, read_everywhere, readmit
from stocklib.pipeline.reconcile import balance
from stocklib.settings import Settings, describe
from stocklib.stream import Producer
from stocklib.warehouse import open_warehouse
from workbench.cli import main

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def single(service_environ: dict[str, str]) -> dict[str, str]:
    return service_environ | {"KAFKA_PARTITIONS": "1"}


@pytest.fixture
def settings(single: dict[str, str]) -> Settings:
    from stocklib.settings import read_settings

    return read_settings(environ=single)


def polls() -> list[Poll]:
    return session_polls(every=1800, symbols=["AAPL"])


def publish(settings: Settings, *values: bytes) -> None:
    with Producer(settings, source="replay", run_id="run-1") as producer:
        for value in values:
            producer.publish(settings.kafka_topic, "AAPL", value, timestamp=polls()[0].fetched_at)


def quote(number: int) -> bytes:
    return orjson.dumps(polls()[number].payload())


def bury(settings: Settings, number: int, offset: int, reason: str = "price is odd") -> None:
    """A dead letter as a consumer with stricter rules would write it: the message itself is good."""
    from stocklib.stream import topic_ids

    origin = {
        "topic": settings.kafka_topic,
        "topic_id": topic_ids(settings, [settings.kafka_topic])[settings.kafka_topic],
        "partition": "0",
        "offset": str(offset),
        "reason": reason,
    }
    headers = {"run_id": "run-1", "seq": str(offset + 1), "source": "replay", **origin}
    with Producer(settings, source="landing") as producer:
        at = round(polls()[number].fetched_at.timestamp() * 1000)
        producer.forward(settings.kafka_dlq_topic, "AAPL", quote(number), timestamp_ms=at, headers=headers)


def ask(environ: dict[str, str], *arguments: str) -> Result:
    names = {name: None for name, _, _ in describe()}
    return CliRunner().invoke(main, arguments, env={**names, **environ})


def landed_lines(settings: Settings) -> list[dict[str, object]]:
    lake = Lake(settings)
    return [json.loads(line) for found in lake.list("stock_quotes") for line in lake.read(found.key).splitlines()]


def known_letters(settings: Settings) -> DeadLetters:
    return read_everywhere(settings)


def test_a_letter_is_found_wherever_it_is_and_readmitted_with_a_mended_payload(
    settings: Settings, single: dict[str, str], tmp_path: Path
) -> None:
    publish(settings, quote(0), b'{"symbol":"AAPL","c":NaN}', b"\xff\xfe", quote(3))
    land(settings, until_idle=1)
    told = ask(single, "dlq", "list", "--json")
    assert told.exit_code == 0, told.output
    rows = json.loads(told.output)
    assert [row["id"].split("@")[0] for row in rows] == [f"{settings.kafka_topic}/0/{offset}" for offset in (1, 2)]
    assert [row["state"] for row in rows] == ["dead", "dead"]
    first = rows[0]["id"]
    shown = ask(single, "dlq", "show", first.split("@")[0]).output
    assert "refused   not JSON" in shown
    assert '{"symbol":"AAPL","c":NaN}' in shown
    assert "header    seq: 2" in shown
    assert "no dead letter has the id" in ask(single, "dlq", "show", "nothing/0/1").output

    # as they are, they are still bad, and say why
    again = ask(single, "dlq", "readmit", "--all")
    assert again.exit_code == 1
    assert f"{first}: refused: still invalid: not JSON" in again.output
    assert ask(single, "dlq", "readmit", "--symbol", "MSFT").output.startswith("0 re-admitted")
    assert ask(single, "dlq", "readmit").exit_code == 2

    # mended, one lands under its own identity, once
    mended = tmp_path / "mended.json"
    mended.write_bytes(quote(1))
    done = ask(single, "dlq", "readmit", first, "--payload-file", str(mended))
    assert done.exit_code == 0, done.output
    assert "1 re-admitted, 0 already there, 0 refused" in done.output
    line = next(line for line in landed_lines(settings) if line["offset"] == 1)
    assert line["payload"] == json.loads(quote(1))
    assert line["headers"].pop("received_at")
    assert line["headers"] == {"run_id": "run-1", "source": "replay", "seq": "2"}
    assert line["topic_id"] == known_letters(settings).dead_letters[0].topic_id
    assert "0 re-admitted, 1 already there" in ask(single, "dlq", "readmit", first).output
    load(settings)
    assert "0 re-admitted, 1 already there" in ask(single, "dlq", "readmit", first).output
    assert [row["state"] for row in json.loads(ask(single, "dlq", "list", "--json").output)] == ["readmitted", "dead"]
    found = balance(settings)
    assert (found.problems, found.total("dead_letters"), found.total("readmitted")) == ((), 2, 1)


def test_what_does_not_belong_to_the_message_is_refused(settings: Settings) -> None:
    publish(settings, b"{", b"{")
    with Producer(settings, source="stranger") as producer:
        producer.forward(settings.kafka_dlq_topic, None, b"hello", timestamp_ms=2**61, headers={})
    land(settings, until_idle=1)
    known = known_letters(settings)
    stranger = next(letter for letter in known.dead_letters if not letter.is_ours)
    assert (stranger.day, stranger.event, stranger.reason) == (None, None, "no reason is given")
    ours = [letter for letter in known.dead_letters if letter.is_ours]
    other = session_polls(every=1800, symbols=["MSFT"])[0]
    (outcome,) = readmit(settings, ours[:1], known=known, payload=orjson.dumps(other.payload()))
    assert (outcome.state, outcome.reason) == ("refused", "its symbol is MSFT, and it was sent for AAPL")
    (outcome,) = readmit(settings, [stranger], known=known)
    assert outcome.state == "refused"
    with pytest.raises(InputError, match="belongs to one dead letter"):
        readmit(settings, ours, known=known, payload=quote(0))
    assert balance(settings).problems == ()


def test_a_message_that_was_too_large_for_the_letters_is_taken_from_kafka(settings: Settings) -> None:
    large = quote(0)[:-1] + b',"note":"' + b"x" * 500_000 + b'"}'
    publish(settings, large)
    from stocklib.stream import topic_ids

    origin = {"topic": settings.kafka_topic, "partition": "0", "offset": "0", "reason": "note is odd"}
    origin["topic_id"] = topic_ids(settings, [settings.kafka_topic])[settings.kafka_topic]
    headers = {"run_id": "run-1", "seq": "1", "source": "replay", **origin, "full_bytes": str(len(large))}
    with Producer(settings, source="landing") as producer:
        producer.forward(settings.kafka_dlq_topic, "AAPL", large[:1000], timestamp_ms=1355495400000, headers=headers)
    known = known_letters(settings)
    assert known.dead_letters[0].is_cut
    (outcome,) = readmit(settings, known.dead_letters, known=known)
    assert outcome.state == "readmitted"
    assert len(str(landed_lines(settings)[0]["payload"])) > 500_000


def test_killed_half_way_and_run_again_every_letter_is_there_once(settings: Settings, single: dict[str, str]) -> None:
    publish(settings, *(quote(number) for number in range(6)))
    # the consumer refused 1, 2 and 4: its rules were stricter than those of now
    for number in (1, 2, 4):
        bury(settings, number, number)
    code = f"""
import json, os, signal, sys
sys.path.insert(0, {str(ROOT / "lib")!r})
from stocklib.lake import Lake
from stocklib.pipeline import readmission
from stocklib.settings import read_settings
readmission._LINES = 1
write, written = Lake.write, []
def stop_at_the_second(lake, *given, **more):
    if written:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(write(lake, *given, **more))
    return written[-1]
Lake.write = stop_at_the_second
settings = read_settings(environ=json.loads(sys.argv[1]))
known = readmission.read_everywhere(settings)
readmission.readmit(settings, known.dead_letters, known=known)
"""
    killed = subprocess.run([sys.executable, "-c", code, json.dumps(single)], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert [line["offset"] for line in landed_lines(settings)] == [1]
    again = ask(single, "dlq", "readmit", "--reason", "odd")
    assert again.exit_code == 0, again.output
    assert "2 re-admitted, 1 already there, 0 refused" in again.output
    assert sorted(int(str(line["offset"])) for line in landed_lines(settings)) == [1, 2, 4]
    # a second reader of the messages doubles nothing: the identity is the same
    land(settings, until_idle=1)
    load(settings)
    rows = open_warehouse(settings).read(
        "select count(*), count(distinct record->>'$.headers.seq'), count(distinct record->>'$.offset') "
        "from raw.stock_quotes"
    )
    assert rows == [(9, 6, 6)]
    found = balance(settings)
    assert (found.problems, found.total("dead_letters"), found.total("readmitted")) == ((), 3, 3)
