"""The symbols to follow: the watchlists under ``config/``."""

import json
from pathlib import Path

from stocklib.errors import SettingsError, SymbolError
from stocklib.quotes import check_symbol
from stocklib.text_files import read_text


def read_watchlist(root: Path, chosen: str) -> list[str]:
    """Return the symbols of the watchlist that ``STOCKS_WATCHLIST`` names: each checked, in order, without duplicates.

    ``root`` is the project's folder. Raises ``SettingsError``.
    """
    path = _watchlist_path(root, chosen)
    try:
        return read_symbols(path)
    except FileNotFoundError:
        known = sorted(p.stem for p in (root / "config" / "watchlists").glob("*.json"))
        raise SettingsError(f"there is no watchlist {path}; STOCKS_WATCHLIST is a path or one of {known}") from None


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


def _watchlist_path(root: Path, chosen: str) -> Path:
    if not chosen:
        return root / "config" / "stock_symbols.json"
    if chosen.endswith(".json") or "/" in chosen:
        return root / Path(chosen).expanduser()
    return root / "config" / "watchlists" / f"{chosen}.json"
