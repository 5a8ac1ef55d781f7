"""The small library behind the stocks workbench: market data in, numbers you can trust out.

What an analyst calls is reachable from here and imported on first use, so that ``import stocklib`` stays quick:

    >>> import stocklib
    >>> stocklib.__version__
    '0.1.0'
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name -> module that holds it
_EXPORTS = {
    "prices": "stocklib.market",
    "symbols": "stocklib.market",
    "tearsheet": "stocklib.report.sheet",
    "read_settings": "stocklib.settings",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'stocklib' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
