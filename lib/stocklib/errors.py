"""One tree of errors: each says what failed, on what, and what to do next.

    StocksError
    ├── SettingsError            a setting, .env or a file under config/ is missing or malformed
    ├── MissingExtra             a package of an extra of the wheel is not installed
    ├── StateError               a file that the project keeps for itself is empty, torn or something else
    ├── InputError               what the caller asked for makes no sense
    │   ├── SymbolError          a symbol that is malformed or unknown
    │   ├── DateRangeError       an empty, reversed or future range
    │   ├── ParameterError       an unknown or ill-typed notebook parameter
    │   └── InvalidNotebook      a notebook's file that is cut off, damaged or not in Python
    ├── SourceError              the market data source
    │   ├── SourceUnavailable    down, timed out, or answered 5xx after every retry
    │   ├── KeyRefused           401: no key, or a wrong one
    │   ├── PlanRefused          403: the key's plan does not include this call
    │   ├── RateLimited          429 after every retry
    │   ├── BadAnswer            an answer that is not what the documentation promises
    │   ├── HistoryMissing       some symbols brought nothing this time
    │   ├── HistoryRefused       some symbols bring nothing, however often they are asked for
    │   ├── NoQuote              zeros or nulls where a price should be
    │   └── Interrupted          a wait for the source was cut short because the run is stopping
    ├── StreamError              Kafka
    ├── LakeError                S3
    │   ├── CorruptObject        an object whose bytes cannot be read
    │   └── MissingObject        no object under that key
    ├── WarehouseError           DuckDB or Snowflake
    │   ├── WarehouseBusy        another process holds it
    │   ├── VersionChanged       another version was published while one was read
    │   ├── CostLimitReached     the day's credits are spent
    │   ├── UnknownName          a query names a table or column that is not there
    │   ├── OtherRelease         another release made the warehouse, or what is published of it
    │   ├── WrongSource          live data into a replayed warehouse, or the other way round
    │   ├── LedgerUnbalanced     messages are missing or doubled; readers still see the last good version
    │   └── TransformFailed      dbt failed; readers still see the last good version
    ├── StaleData                the published tables are behind, or a process of the pipeline is silent
    ├── MissedSchedule           a scheduled run was due and did not begin
    ├── EmbeddedError            a server of the embedded stack
    ├── PowerBIError             Power BI refused a refresh, or the refresh failed
    └── NotebookFailed           a notebook raised; the executed copy is kept

A caller that wants to stop on anything of ours catches ``StocksError``; the command line prints its text and no
traceback. Secrets never appear in any message. Whether asking again can help is an attribute, ``is_hopeless``.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


def did_you_mean(name: str, known: Iterable[str], *, most: int = 1, alike: float = 0.6) -> str:
    """Return the end of a sentence about an unknown name: up to ``most`` similar known ones; empty without one.

    ``alike`` is how similar they must be, from 0 to 1.

    >>> did_you_mean("APPL", ["AAPL", "IBM"]), did_you_mean("XYZ", ["AAPL", "IBM"])
    ('. Did you mean AAPL?', '')
    """
    close = get_close_matches(name, list(known), n=most, cutoff=alike)
    return f". Did you mean {' or '.join(close)}?" if close else ""


class StocksError(Exception):
    """The base of every error that this project raises on purpose."""

    # True where the same request fails again until a person changes something: a scheduler does not repeat it.
    is_hopeless: bool = False


class SettingsError(StocksError):
    """A setting is missing or malformed; the message names it and where to set it."""

    is_hopeless = True


class MissingExtra(StocksError):
    """A package of one of the wheel's extras is not installed; the message has the command that installs it."""

    is_hopeless = True


class StateError(StocksError):
    """A state file is damaged: its ``path``, the ``damage`` (a verb phrase), and the ``remedy``."""

    def __init__(self, path: Path, damage: str, remedy: str) -> None:
        super().__init__(f"{path} {damage}: {remedy}")
        self.path, self.damage, self.remedy = path, damage, remedy


class InputError(StocksError):
    """The request itself makes no sense."""

    is_hopeless = True


class SymbolError(InputError):
    """A symbol that is malformed, or that the source does not know."""


class DateRangeError(InputError):
    """An empty, reversed or future range of dates."""


class ParameterError(InputError):
    """A notebook parameter that does not exist, or a value of another type."""


class InvalidNotebook(InputError):
    """A notebook's file is cut off, damaged, without code or not in Python; the message names it."""


class SourceError(StocksError):
    """The market data source refused, failed, or answered nonsense."""


class SourceUnavailable(SourceError):
    """The source is down, timed out, or answered 5xx after every retry."""


class KeyRefused(SourceError):
    """401: the API key is missing or wrong."""

    is_hopeless = True


class PlanRefused(SourceError):
    """403: the key's plan does not include this call."""

    is_hopeless = True


class RateLimited(SourceError):
    """429 after every retry."""


class BadAnswer(SourceError):
    """The source answered something that its documentation does not allow."""


class HistoryMissing(SourceError):
    """Some symbols brought no history, and another try may bring it; the message names them."""


class HistoryRefused(SourceError):
    """Some symbols bring no history however often they are asked for: unknown, or not of the key's plan."""

    is_hopeless = True


class NoQuote(SourceError):
    """The source answered zeros or nulls where a price should be."""


class Interrupted(SourceError):
    """The run is stopping, so a wait for the source (rate limit, retry) ended early."""


class StreamError(StocksError):
    """Kafka is out of reach, or refused."""


class LakeError(StocksError):
    """S3 is out of reach, or refused."""


class CorruptObject(LakeError):
    """An object of the lake cannot be read; the message names its key."""


class MissingObject(LakeError):
    """The lake has no such object, or no such bucket; the message says which."""


class WarehouseError(StocksError):
    """The warehouse is out of reach, or refused."""


class WarehouseBusy(WarehouseError):
    """Another process holds the warehouse; the message names it."""


class VersionChanged(WarehouseError):
    """Another version was published during a read, which may hold rows of both; read again."""


class CostLimitReached(WarehouseError):
    """The warehouse has used the credits of the day; the message says when work goes on."""


class UnknownName(WarehouseError):
    """A query names a table or a column that the warehouse does not have."""


class OtherRelease(WarehouseError):
    """Another release made the warehouse, or what is published of it; the message names the command that mends it."""

    is_hopeless = True


class WrongSource(WarehouseError):
    """Live data was offered to a warehouse of replayed data, or the other way round."""

    is_hopeless = True


class LedgerUnbalanced(WarehouseError):
    """Messages are missing or doubled; the published tables are still the last good version."""


class TransformFailed(WarehouseError):
    """dbt failed or a test did; the published tables are still the last good version."""


class StaleData(StocksError):
    """The published tables are behind the last session, or a process of the pipeline has gone silent."""


class MissedSchedule(StocksError):
    """A scheduled run was due and did not begin; the message names the DAG and the time."""


class EmbeddedError(StocksError):
    """A server of the embedded stack did not start, died, or its port is taken."""


class PowerBIError(StocksError):
    """Power BI refused a refresh, failed, or is out of reach."""


class NotebookFailed(StocksError):
    """A notebook raised; the message names the executed copy that holds the error.

    ``raised`` is the name of the error's class in the notebook. ``is_hopeless`` is that class's, where it is ours.
    """

    def __init__(self, message: str, *, raised: str = "") -> None:
        super().__init__(message)
        self.raised = raised
        kind = globals().get(raised)
        self.is_hopeless = isinstance(kind, type) and issubclass(kind, StocksError) and bool(kind.is_hopeless)
