"""The symbols to follow: the watchlists under ``config/``."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from stocklib.errors import SettingsError, SymbolError, did_you_mean
from stocklib.quotes import check_symbol
from stocklib.state_files import write_state
from stocklib.text_files import read_text

_ARRAY = re.compile(r'("symbols"\s*:\s*\[)([^\]]*)')
_ITEM = re.compile(r'"[^"]*"')


def read_watchlist(root: Path, chosen: str) -> list[str]:
    """Return the symbols of the watchlist that ``STOCKS_WATCHLIST`` names: each checked, in order, without duplicates.

    ``root`` is the project's folder. Raises ``SettingsError``.
    """
    path = watchlist_path(root, chosen)
    try:
        return read_symbols(path)
    except FileNotFoundError:
        known = sorted(p.stem for p in (root / "config" / "watchlists").glob("*.json"))
        raise SettingsError(
            f"there is no watchlist {path}; STOCKS_WATCHLIST is a path or one of {known}{did_you_mean(chosen, known)}"
        ) from None


def read_symbols(path: Path) -> list[str]:
    """Return the symbols of one watchlist's file, each checked, without duplicates; ``SettingsError``."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f'{path} cannot be read: {error}; it must hold {{"symbols": ["AAPL", …]}}') from error
    listed = content.get("symbols") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise SettingsError(f'{path} must hold {{"symbols": ["AAPL", …]}} with at least one symbol')
    try:
        return list(dict.fromkeys(check_symbol(symbol) for symbol in listed))
    except SymbolError as error:
        raise SymbolError(f"{path}: {error}") from None


def add_symbol(path: Path, symbol: str) -> bool:
    """Add a symbol to the end of a watchlist's file; return False where it is there already.

    The file is replaced as a whole; its layout and its other fields stay.
    """
    if symbol in read_symbols(path):
        return False

    def appended(inside: str, items: list[re.Match[str]]) -> str:
        *before, last = items
        lead = inside[: items[0].start()]
        between = inside[before[-1].end() : last.start()] if before else "," + (lead or " ")
        return f'{inside[: last.end()]}{between}"{symbol}"{inside[last.end() :]}'

    _edit(path, appended)
    return True


def remove_symbol(path: Path, symbol: str) -> bool:
    """Remove a symbol from a watchlist's file; return False where it is not there.

    The file is replaced as a whole; its layout and its other fields stay. Raise ``SettingsError`` for the only symbol.
    """
    symbols = read_symbols(path)
    if symbol not in symbols:
        return False
    if symbols == [symbol]:
        raise SettingsError(f"{symbol} is the only symbol of {path}, and a list holds at least one: add another first")

    def without(inside: str, items: list[re.Match[str]]) -> str:
        gaps = [*(inside[one.end() : after.start()] for one, after in pairwise(items)), ""]
        named = [check_symbol(json.loads(item[0])) for item in items]
        kept = [(item[0], gap) for item, gap, name in zip(items, gaps, named, strict=True) if name != symbol]
        text = "".join(item + gap for item, gap in kept).removesuffix(kept[-1][1])
        return inside[: items[0].start()] + text + inside[items[-1].end() :]

    _edit(path, without)
    return True


def _edit(path: Path, edit: Callable[[str, list[re.Match[str]]], str]) -> None:
    """Replace what is within the brackets of a file's symbols."""
    text = path.read_bytes().decode("utf-8")
    arrays = _ARRAY.findall(text)
    if len(arrays) != 1:
        raise SettingsError(f'{path} holds "symbols" {len(arrays)} times: edit it by hand')

    def edited(array: re.Match[str]) -> str:
        return array[1] + edit(array[2], list(_ITEM.finditer(array[2])))

    write_state(path.resolve(), _ARRAY.sub(edited, text).encode(), durable=True)


def watchlist_path(root: Path, chosen: str) -> Path:
    """Return the file of the watchlist that ``STOCKS_WATCHLIST`` names."""
    if not chosen:
        return root / "config" / "stock_symbols.json"
    if chosen.endswith(".json") or "/" in chosen:
        return root / Path(chosen).expanduser()
    return root / "config" / "watchlists" / f"{chosen}.json"
