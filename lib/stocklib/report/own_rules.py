"""A strategy in a file of the user: ``my_rules.py:dip`` is the function ``dip`` of that file.

Reading it runs the file, with the rights of the caller. An error of the file or of the function names its line.
"""

import sys
from collections.abc import Callable
from functools import wraps
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isfunction
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

import pandas as pd

from stocklib.backtest.bar_arrays import bar_times
from stocklib.backtest.engine import same_times
from stocklib.errors import InputError, ParameterError, did_you_mean

Strategy = Callable[..., Any]


def names_a_file(name: str) -> bool:
    """Return whether a strategy's name means a Python file, with or without a function.

    >>> names_a_file("my_rules.py:dip"), names_a_file("my_rules.py"), names_a_file("sma_crossover")
    (True, True, False)
    """
    return name.endswith(".py") or ".py:" in name


def read_rule(name: str) -> Strategy:
    """Run the file of ``file.py:function`` and return the function; its errors are ``InputError`` with file and line.

    Its folder becomes the last one from which Python imports, so that the file can import its neighbours.
    ``ParameterError`` where there is no such file or function.
    """
    file, _, function = (name, "", "") if name.endswith(".py") else name.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise ParameterError(f"there is no file {file} in {Path.cwd()}: give its path, as in rules/my_rules.py:dip")
    module = _run(path)
    found = getattr(module, function, None) if function else None
    if not callable(found):
        own = [key for key, value in vars(module).items() if isfunction(value) and value.__module__ == module.__name__]
        why = f"{file} has no function {function!r}" if function else f"{file} needs the name of a function"
        takes = f"as in {file}:{own[0] if own else 'dip'}; it has {', '.join(own) or 'none'}"
        raise ParameterError(f"{why}, {takes}{did_you_mean(function, own)}")
    return _checked(found, function, path)


def _run(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"own_rules_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # dataclasses of the file look for their module there
    sys.modules[spec.name] = module
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{_where(path, error)}: {_why(error)}") from error
    return module


def _checked(function: Strategy, name: str, path: Path) -> Strategy:
    """Return the function with its errors as sentences, and with its weights checked against the bars."""

    @wraps(function)
    def rule(bars: pd.DataFrame, **parameters: Any) -> pd.Series | pd.DataFrame:
        try:
            weights = function(bars, **parameters)
        except Exception as error:
            where = _where(path, error, first=_line(function))
            has = f"; the bars have {', '.join(bars.columns)}, and their dates as index"
            hint = has if isinstance(error, KeyError) else ""
            raise InputError(f"{where}, in {name}: {_why(error)}{hint}") from error
        if fault := _fault(weights, bars):
            raise InputError(f"{_at(path, _line(function))}, {name} {fault}")
        return weights  # type: ignore[no-any-return]

    rule.__name__ = name
    return rule


def _fault(weights: Any, bars: pd.DataFrame) -> str:
    """Return what is wrong with the form of the weights; an empty text where nothing is."""
    if not isinstance(weights, pd.Series | pd.DataFrame):
        return f"returns {type(weights).__name__}: it must return a series by date, or a frame with a column a symbol"
    times = bar_times(bars).unique().sort_values()
    if len(weights) != len(times):
        return f"returns {len(weights)} weights for {len(times)} bars: it must return one for each bar"
    if not same_times(weights.index, times):
        return "returns weights on other dates than the bars': they must have the index of the bars"
    return ""


def _where(path: Path, error: Exception, *, first: int = 1) -> str:
    """Return the line of the file where an error began."""
    own = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path.resolve())]
    if isinstance(error, SyntaxError) and not own:
        own = [error.lineno]
    return _at(path, own[-1] if own and own[-1] else first)


def _at(path: Path, line: int) -> str:
    return f"{path}, line {line}"


def _line(function: Strategy) -> int:
    return function.__code__.co_firstlineno if isfunction(function) else 1


def _why(error: Exception) -> str:
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return said if isinstance(error, InputError) else f"{type(error).__name__}: {said}"
