"""A frame as a notebook shows it: thousands apart, signed returns, dates as days, and missing values as a dash."""

import math
import re
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from stocklib.indicators.columns import check_type
from stocklib.plots.house import number

_SIGNED = re.compile(r"momentum|(return|change|alpha|profit)( %)?$", re.IGNORECASE)
_PRICE = re.compile(r"(^| )(open|high|low|close|price)$", re.IGNORECASE)


def styled(frame: pd.DataFrame | pd.Series, *, digits: int = 2) -> pd.DataFrame:
    """Return a frame's cells as texts to read, which a notebook shows as a table; the frame keeps the numbers.

    Numbers have thousands apart and ``digits`` decimals, whole ones none, and prices below 1 three digits that count
    (at most 6 decimals); returns and changes carry their sign. A name such as ``change_percent`` becomes "change %".
    Where the rows are named figures ("CAGR %"), each row has its own form. The name of the index stands in the corner;
    row numbers without a name are left out.

    >>> styled(pd.DataFrame({"volume": [1200500.0], "change_percent": [1.234]}, ["AAPL"]))
             volume change %
    AAPL  1,200,500    +1.23
    """
    check_type("the table", frame, pd.DataFrame | pd.Series, expected="a frame or a series")
    shown = pd.DataFrame(frame)
    shown.columns = pd.Index([str(name).replace("_percent", " %").replace("_", " ") for name in shown])
    by_row = any("%" in str(name) for name in shown.index)
    lines = shown.T if by_row else shown
    cells = {place: _texts(str(name), lines.iloc[:, place].tolist(), digits) for place, name in enumerate(lines)}
    texts = pd.DataFrame(cells, lines.index, dtype=object).set_axis(lines.columns, axis=1)
    texts = texts.T if by_row else texts
    is_numbered = shown.index.name is None and pd.api.types.is_integer_dtype(shown.index.dtype)
    texts.index = pd.Index(["" if is_numbered else _text(name, 0, signed=False) for name in shown.index])
    texts.columns.name = shown.index.name
    return texts


def _texts(name: str, values: list[Any], digits: int) -> list[str]:
    numbers = [value for value in values if isinstance(value, Real | Decimal) and value == value]
    is_whole = "%" not in name and all(value % 1 == 0 for value in numbers)
    signed = _SIGNED.search(name) is not None
    if _PRICE.search(name) and (sizes := [abs(float(value)) for value in numbers if value]) and min(sizes) < 1:
        digits = max(digits, min(6, 2 - math.floor(math.log10(min(sizes)))))
    return [_text(value, 0 if is_whole else digits, signed=signed) for value in values]


def _text(value: Any, digits: int, *, signed: bool) -> str:
    if isinstance(value, str | pd.Period):
        return str(value)
    if pd.isna(value):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, date):
        return f"{value:%Y-%m-%d %H:%M:%S}".removesuffix(":00").removesuffix(" 00:00")
    return number(value, digits, sign=signed)
