"""An incident is one message and its end another, on Slack and by mail, with the error's words and without a secret."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from misbehaving import Reply, Server, serving
from small_finnhub import Market
from small_smtp import Mailbox, receiving

from stocklib.lake import Lake
from stocklib.settings import Settings, read_settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

Run = Callable[..., Any]


@pytest.fixture
def slack(pipeline: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(lambda asked: Reply(b"ok", headers={"Content-Type": "text/html"})) as server:
        monkeypatch.setenv("ALERT_SLACK_WEBHOOK", f"{server.url}/services/T0/B0/a-secret-of-slack")
        yield server


@pytest.fixture
def mailbox(pipeline: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with receiving() as box:
        monkeypatch.setenv("ALERT_EMAIL_TO", "ops@example.com, night@example.com")
        monkeypatch.setenv("ALERT_EMAIL_FROM", "stocks@example.com")
        monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SMTP_PORT", str(box.port))
        monkeypatch.setenv("SMTP_SECURITY", "none")
        yield box


def messages(slack: Server) -> list[str]:
    return [orjson.loads(asked.body)["text"] for asked in slack.asked]


def test_a_failure_is_told_once_and_its_recovery_once(
    run: Run, pipeline: Settings, market: Market, slack: Server, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(market.refused, "/stock/candle", 401)
    for _ in range(2):
        assert run("daily_historical_load", day="2012-12-13").state == "failed"
    (told,) = messages(slack)
    assert told.startswith("*FAILED daily_historical_load.fetch*\n")
    assert "KeyRefused" in told
    copy = "/runs/daily_historical_load/"
    assert f"http://files.example/browser/{pipeline.minio_artifacts_bucket}{copy}" in told
    assert "\nlog: http" in told
    assert "the-key-of-this-test" not in told + mailbox.text(0)
    assert [mail["To"] for mail in mailbox.mails] == ["ops@example.com, night@example.com"]
    assert mailbox.mails[0]["Subject"] == "FAILED daily_historical_load.fetch"
    assert "KeyRefused" in mailbox.text(0)
    market.refused.clear()
    for _ in range(2):
        assert run("daily_historical_load", day="2012-12-13").state == "success"
    assert [text.split("\n")[0] for text in messages(slack)[1:]] == ["*RECOVERED daily_historical_load.fetch*"]
    assert [mail["Subject"] for mail in mailbox.mails[1:]] == ["RECOVERED daily_historical_load.fetch"]


def test_many_symbols_that_fail_are_one_incident(
    run: Run, pipeline: Settings, market: Market, slack: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(market.refused, "/stock/candle", 401)
    span = {"from": "2012-11-05", "to": "2012-12-12"}
    assert run("backfill_ytd_historical", **span).states["fetch.1"] == "failed"
    assert [text.split("\n")[0] for text in messages(slack)] == ["*FAILED backfill_ytd_historical.fetch*"]
    market.refused.clear()
    assert run("backfill_ytd_historical", **span).state == "success"
    assert [text.split("\n")[0] for text in messages(slack)[1:]] == ["*RECOVERED backfill_ytd_historical.fetch*"]


def test_the_evening_tells_of_stale_data_a_lost_object_and_a_missed_schedule(
    run: Run, pipeline: Settings, market: Market, slack: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("daily_historical_load", day="2012-12-12")
    run("transform")
    lake = Lake(pipeline)
    key = next(lake.list("daily_historical_quotes")).key
    content = lake._s3.cat_file(f"{lake.bucket}/{key}")
    lake._call("delete_object", Bucket=lake.bucket, Key=key)
    monkeypatch.setattr(market, "now", datetime(2012, 12, 18, 2, tzinfo=UTC))
    evening = datetime(2012, 12, 18, 1, 30, tzinfo=UTC)
    done = run("quality", at=evening)
    assert set(done.states.values()) == {"failed"}
    told = {text.split("*")[1]: text for text in messages(slack)}
    assert set(told) == {f"FAILED quality.check_{what}" for what in ("ledger", "freshness", "schedules")}
    assert key in told["FAILED quality.check_ledger"]
    assert "the session of 2012-12-17 is over" in told["FAILED quality.check_freshness"]
    assert "daily_historical_load was due at 2012-12-17 23:00 UTC" in told["FAILED quality.check_schedules"]
    lake._call("put_object", Bucket=lake.bucket, Key=key, Body=content)
    run("quality", at=evening + timedelta(seconds=1))
    assert [text.split("\n")[0] for text in messages(slack)[3:]] == ["*RECOVERED quality.check_ledger*"]


def test_nothing_is_sent_where_nothing_is_configured(run: Run, pipeline: Settings, market: Market) -> None:
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    assert run("backfill_ytd_historical", symbols=["no symbol"]).state == "failed"
    with create_session() as session:
        assert not session.query(Variable).filter(Variable.key.endswith("choose_symbols")).count()


def test_a_server_of_alerts_that_is_away_changes_nothing_for_the_task(
    run: Run, pipeline: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ALERT_SLACK_WEBHOOK", "http://127.0.0.1:1/services/a-secret-of-slack")
    done = run("backfill_ytd_historical", symbols=["no symbol"])
    assert done.states["choose_symbols"] == "failed"
    assert "an alert was not sent by slack" in caplog.text
    assert "a-secret-of-slack" not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "refused the-key-of-mine by the server",
        "GET https://finnhub.io/quote?token=other-secret&symbol=AAPL",
        "postgresql://me:other-secret@db:5432/airflow",
        "password = other-secret",
    ],
)
def test_no_secret_is_told(text: str) -> None:
    from workbench.airflow.alerts import scrub

    settings = read_settings(environ={"FINNHUB_API_KEY": "the-key-of-mine"})
    assert "***" in scrub(settings, text)
    assert "secret" not in scrub(settings, text).replace("password", "")
    assert "the-key-of-mine" not in scrub(settings, text)
