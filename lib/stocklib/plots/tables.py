"""A frame as a notebook shows it: thousands apart, signed returns, dates as days, and missing values as a dash."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import escape
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators.columns import check_type

_MOST = 60
_SIGNED = re.compile(r"momentum|(return|change|alpha|profit)( %)?$", re.IGNORECASE)
_CELL = "padding:4px 12px;white-space:nowrap;text-align:"


@dataclass(frozen=True, repr=False)
class Styled:
    """The texts of a frame's cells; ``words`` are the columns that stand at the left, ``note`` stands below.

    A page shows it as a table without colours of its own, so that it can be read on a light and on a dark one.
    """

    texts: pd.DataFrame
    words: frozenset[Hashable]
    note: str
    has_names: bool

    def _repr_html_(self) -> str:
        sides = ["left" if name in self.words else "right" for name in self.texts]
        head, rows = _row("th", self.texts, sides), [_row("td", row, sides) for row in self.texts.to_numpy()]
        if self.has_names:
            head = _row("th", [self.texts.index.name or ""], ["left"]) + head
            rows = [_row("th", [name], ["left"]) + row for name, row in zip(self.texts.index, rows, strict=True)]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div style="overflow-x:auto">{table}{escape(self.note)}</div>'

    def __repr__(self) -> str:
        return "\n".join(filter(None, [self.texts.to_string(index=self.has_names), self.note]))


def styled(frame: pd.DataFrame | pd.Series, *, digits: int = 2) -> Styled:
    """Return a frame as a table to read: HTML in a notebook, aligned text elsewhere. The frame keeps the numbers.

    Numbers have thousands apart and ``digits`` decimals, whole ones none; returns and changes carry their sign. A name
    such as ``change_percent`` becomes "change %". Where the rows are named figures ("CAGR %"), each row has its own
    form. Numbers of rows are left out, unless the index has a name; rows after the sixtieth are counted below.

    >>> styled(pd.DataFrame({"volume": [1200500.0], "change_percent": [1.234]}, ["AAPL"]))
             volume change %
    AAPL  1,200,500    +1.23
    """
    check_type("the table", frame, pd.DataFrame | pd.Series, expected="a frame or a series")
    shown = frame.to_frame("" if frame.name is None else frame.name) if isinstance(frame, pd.Series) else frame
    if shown.columns.nlevels > 1 or shown.index.nlevels > 1:
        raise InputError("a table has one level of rows and of columns: reset the index first")
    head, rest = shown.head(_MOST), len(shown) - _MOST
    head = head.set_axis([str(name).replace("_percent", " %").replace("_", " ") for name in head], axis=1)
    by_row = any("%" in str(name) for name in head.index)
    lines = head.T if by_row else head
    cells = [_texts(str(name), values.tolist(), digits) for name, values in lines.items()]
    texts = pd.DataFrame(np.array(cells, dtype=object).reshape(lines.shape[::-1]).T, lines.index, lines.columns)
    texts = texts.T if by_row else texts
    words = frozenset() if by_row else frozenset(head.columns[[_has_words(head[name]) for name in head]])
    has_names = head.index.name is not None or not pd.api.types.is_integer_dtype(head.index.dtype)
    texts.index = pd.Index([_text(name, 0, signed=False) for name in head.index], name=head.index.name)
    return Styled(texts, words, f"… and {rest:,} more rows" if rest > 0 else "", has_names)


def _texts(name: str, values: list[Any], digits: int) -> list[str]:
    numbers = [value for value in values if isinstance(value, Real | Decimal) and value == value]
    is_whole = "%" not in name and all(value % 1 == 0 for value in numbers)
    signed = _SIGNED.search(name) is not None
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
    return f"{round(value, digits) + 0:{'+' if signed else ''},.{digits}f}".replace("-", "−")


def _has_words(values: pd.Series) -> bool:
    return any(isinstance(value, str) for value in values)


def _row(tag: str, cells: Any, sides: list[str]) -> str:
    pairs = zip(cells, sides, strict=True)
    return "".join(f'<{tag} style="{_CELL}{side}">{escape(str(cell))}</{tag}>' for cell, side in pairs)
