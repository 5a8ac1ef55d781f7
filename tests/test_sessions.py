"""The trading calendar: what New York did, in UTC."""

import ast
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from mirrors import ROOT

from stocklib import sessions
from stocklib.errors import DateRangeError, InputError
from stocklib.sessions import XNYS, Calendar


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_the_bell_moves_with_daylight_saving() -> None:
    winter, summer = sessions.session(date(2012, 3, 9)), sessions.session(date(2012, 3, 12))
    assert winter
    assert summer
    assert (winter.open, winter.close) == (utc(2012, 3, 9, 14, 30), utc(2012, 3, 9, 21, 0))
    assert (summer.open, summer.close) == (utc(2012, 3, 12, 13, 30), utc(2012, 3, 12, 20, 0))


@pytest.mark.parametrize(
    "day",
    [
        date(2001, 9, 11),
        date(2001, 9, 14),
        date(2007, 1, 2),
        date(2012, 10, 29),
        date(2012, 10, 30),
        date(2012, 12, 15),
    ],
)
def test_a_closed_day_has_no_session(day: date) -> None:
    assert sessions.session(day) is None


def test_a_half_day_closes_at_one() -> None:
    half = sessions.session(date(2012, 11, 23))
    assert half
    assert half.is_early_close
    assert half.close - half.open == timedelta(hours=3, minutes=30)


def test_the_closing_bell_is_outside_the_session() -> None:
    assert sessions.is_open(utc(2012, 12, 14, 14, 30))
    assert sessions.is_open(utc(2012, 12, 14, 20, 59, 59))
    assert not sessions.is_open(utc(2012, 12, 14, 21, 0))


def test_an_evening_in_new_york_is_still_that_trading_date() -> None:
    assert sessions.new_york_date(utc(2012, 12, 15, 3, 0)) == date(2012, 12, 14)


def test_the_last_finished_session_is_yesterdays_until_the_close() -> None:
    assert sessions.last_finished_session(utc(2012, 12, 14, 20, 59)).session_date == date(2012, 12, 13)
    assert sessions.last_finished_session(utc(2012, 12, 14, 21, 0)).session_date == date(2012, 12, 14)
    assert sessions.last_finished_session(utc(2012, 12, 16, 12, 0)).session_date == date(2012, 12, 14)


def test_neighbours_skip_weekends_and_holidays() -> None:
    assert sessions.next_session(date(2012, 12, 31)).session_date == date(2013, 1, 2)
    assert sessions.previous_session(date(2012, 1, 3)).session_date == date(2011, 12, 30)


def test_the_calendar_has_every_day_once_and_names_its_holidays() -> None:
    days = list(sessions.calendar_days(date(2000, 1, 1), date(2013, 12, 31)))
    assert len(days) == 5114
    assert sum(day["is_trading_day"] for day in days) == 3521
    holidays = {day["calendar_date"]: day["holiday"] for day in days if day["holiday"]}
    assert holidays[date(2012, 7, 4)] == "July 4th"
    assert holidays[date(2012, 10, 29)] == "Exchange closed"
    assert all(day.weekday() < 5 for day in holidays)


def test_a_date_beyond_the_calendar_is_one_clear_error() -> None:
    with pytest.raises(DateRangeError, match="2000-01-01"):
        sessions.session(date(1999, 12, 31))


def test_a_calendar_that_is_not_supported_is_named() -> None:
    with pytest.raises(InputError, match="calendar 'XLON' is not supported; choose one of XNYS"):
        Calendar("XLON")


def test_a_session_has_the_number_that_its_row_has() -> None:
    rows = {row["calendar_date"]: row for row in XNYS.days(date(2012, 10, 22), date(2012, 11, 2))}
    assert {day: XNYS.number(day) for day in rows} == {day: row["session_number"] for day, row in rows.items()}
    assert {row["calendar"] for row in rows.values()} == {"XNYS"}


def test_new_york_and_its_252_sessions_have_one_home() -> None:
    project = (ROOT / "dbt_stocks" / "dbt_project.yml").read_text(encoding="utf-8")
    variables = yaml.safe_load(project)["vars"]
    assert (variables["time_zone"], variables["periods_a_year"]) == (XNYS.zone.key, XNYS.periods_a_year)
    named = [
        str(path.relative_to(ROOT))
        for folder in ("lib", "dags", "dbt_stocks/models", "dbt_stocks/macros")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".sql") and {252, XNYS.zone.key} & constants(path)
    ]
    assert named == ["lib/stocklib/sessions.py"]


def constants(path: Path) -> set[object]:
    """Every number and text that stands in a file's code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    return {*re.findall(r"'([^']*)'", text), *map(int, re.findall(r"\b\d+\b", text))}
