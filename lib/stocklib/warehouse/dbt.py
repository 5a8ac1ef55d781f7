"""dbt, run in this process: arguments in, the result out. Its output goes to a log file.

Only this module runs dbt. All that it writes (target, logs) stays under ``STOCKS_HOME``. A process that runs it often
may keep the parsed project: parsing takes longer than the models of a few new quotes.
"""

import hashlib
import json
import logging
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stocklib.errors import InputError, TransformFailed
from stocklib.host import environment
from stocklib.settings import Settings
from stocklib.warehouse import DbtResult, Touched

log = logging.getLogger(__name__)

# The verbs that take variables; the others (deps, clean, debug …) refuse them or need none.
_WITH_VARS = {"build", "run", "test", "seed", "snapshot", "compile", "show", "docs", "parse", "list", "ls", "source"}
_FAILED = {"error", "fail", "runtime error"}
_LIMIT = 400
# A test for which every row is a failure, and a failure is an error.
_PLAIN = ("error", "!= 0")
# The last projects that dbt parsed in this process, by their sources, target and variables. A parse takes seconds.
_parsed: "OrderedDict[str, _Parsed]" = OrderedDict()
_MOST_PARSED = 4
# The placeholder of the bounds in the SQL of tests of touched rows only (macros/bounded.sql).
BOUNDS = {"STOCKS_TOUCHED_LOAD": "$load$", "STOCKS_TOUCHED_DAYS": "$days$", "STOCKS_TOUCHED_SINCE": "$since$"}


@dataclass(frozen=True)
class DbtPlace:
    """Where dbt runs: its target folder and environment; the settings give project, logs and variables."""

    settings: Settings
    target: Path
    environ: Mapping[str, str]

    @property
    def project(self) -> Path:
        """Return the folder of dbt's project."""
        return self.settings.root / "dbt_stocks"

    @property
    def logs(self) -> Path:
        """Return the folder of dbt's log."""
        return self.settings.home / "logs"

    @property
    def variables(self) -> dict[str, Any]:
        """Return the variables of the project that settings decide."""
        return {"close_settle_seconds": self.settings.close_settle_seconds}


@dataclass
class _Parsed:
    """A project that dbt parsed, and the SQL of its tests, by selection."""

    manifest: Any
    tests: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)


def reads_warehouse(args: Sequence[str]) -> bool:
    """Return whether these arguments open the warehouse; serving the documentation must not lock it for hours.

    >>> reads_warehouse(["build"]), reads_warehouse(["docs", "serve", "--port", "8080"])
    (True, False)
    """
    return "serve" not in args[:2] and not {"--help", "--version", "-h"} & set(args)


def merge_variables(args: Sequence[str], ours: Mapping[str, Any]) -> list[str]:
    """Return the arguments with our variables added; the caller's win; ``InputError`` when those are malformed.

    >>> merge_variables(["build", "--vars={mine: 1}", "--select", "silver"], {"close_settle_seconds": 0})
    ['build', '--select', 'silver', '--vars', '{"close_settle_seconds": 0, "mine": 1}']
    """
    merged, rest = dict(ours), []
    remaining = iter(args)
    for arg in remaining:
        if arg == "--vars":
            merged |= _read_variables(next(remaining, ""))
        elif arg.startswith("--vars="):
            merged |= _read_variables(arg.removeprefix("--vars="))
        else:
            rest.append(arg)
    # a value that JSON lacks, such as a date, is text in dbt's templates anyway
    return [*rest, "--vars", json.dumps(merged, default=str)]


def run_dbt(
    args: Sequence[str],
    place: DbtPlace,
    *,
    on_node: Callable[[str], None] | None = None,
    quiet: bool = True,
    keep: bool = False,
) -> DbtResult:
    """Run dbt; call ``on_node`` for each finished model and test. A failed model does not raise.

    ``keep`` parses the project once a process, and again when a file of it changes.
    """

    def listen(event: Any) -> None:
        if on_node is not None and event.info.name in ("LogModelResult", "LogTestResult", "LogSeedResult"):
            on_node(event.data.node_info.node_name)

    for folder in (place.target, place.logs):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with environment(place.environ):
            manifest = parse(place) if keep else None
            outcome = _invoke(_arguments(args, place, quiet=quiet), manifest, callbacks=[listen])
    finally:
        _free_local_file()
    results = _results(outcome.result)
    nodes = tuple((one.node.name, str(one.status), float(one.execution_time)) for one in results)
    failures = [_failure(one, place) for one in results if str(one.status) in _FAILED]
    if outcome.exception is not None:
        failures.append(_short(str(outcome.exception)))
    counts = Counter(status for _, status, _ in nodes)
    return DbtResult(bool(outcome.success), tuple(failures), counts, place.logs / "dbt.log", nodes)


def compile_tests(select: Sequence[str], place: DbtPlace) -> dict[str, str]:
    """Return the SQL of the data tests of selected models by name, with ``BOUNDS`` in it; its rows are failures.

    Compiled once a process, since dbt's overhead exceeds the tests' own time. Raise ``TransformFailed``.
    """
    key = tuple(select)
    with environment({**place.environ, **BOUNDS}):
        parsed = _parse(place)
        if key in parsed.tests:
            return parsed.tests[key]
        arguments = ["compile", "--select", *(f"{models},test_type:data" for models in select)]
        # those ask about whole tables, whatever the bounds
        arguments += ["--exclude", "tag:whole_tables"]
        try:
            outcome = _invoke(_arguments(arguments, place, quiet=True), parsed.manifest)
        finally:
            _free_local_file()
    tests = {result.node.name: result.node for result in _results(outcome.result)}
    other = [name for name, test in tests.items() if (test.config.severity.lower(), test.config.error_if) != _PLAIN]
    if not outcome.success or not tests or other:
        raise TransformFailed(f"dbt did not compile the tests of {', '.join(select)}: {outcome.exception or other}")
    parsed.tests[key] = {name: test.compiled_code for name, test in tests.items()}
    return parsed.tests[key]


def bounded_statement(tests: Mapping[str, str], touched: Touched) -> str:
    """Return one statement for the name of each of these tests and the number of its failures."""
    bounds = {
        "$load$": str(touched.load_id),
        "$days$": ", ".join(f"'{day}'" for day in touched.days) or "null",
        # where gold did not change, no row is tested
        "$since$": str(touched.since or "9999-12-31"),
    }
    each = [f"select '{name}' as test, count(*) as wrong from (\n{sql}\n) as found" for name, sql in tests.items()]  # noqa: S608
    statement = "\nunion all\n".join(each)
    for mark, bound in bounds.items():
        statement = statement.replace(mark, bound)
    return statement


def parse(place: DbtPlace) -> Any:
    """Return the parsed project; None when parsing fails, since the run itself reports why."""
    return _parse(place).manifest


def _parse(place: DbtPlace) -> _Parsed:
    # with the target: a process may use two warehouses. Of a local file the parsed project holds only the name
    environ = {**place.environ, "STOCKS_WAREHOUSE_FILE": Path(place.environ.get("STOCKS_WAREHOUSE_FILE", "")).name}
    digest = hashlib.sha256(json.dumps([place.variables, environ]).encode())
    for path in sorted(p for p in place.project.rglob("*") if p.suffix in (".sql", ".yml", ".md") and p.is_file()):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    key = digest.hexdigest()
    if key not in _parsed:
        outcome = _invoke(_arguments(["parse"], place, quiet=True))
        if outcome.result is None:
            return _Parsed(None)
        _parsed[key] = _Parsed(outcome.result)
        if len(_parsed) > _MOST_PARSED:
            _parsed.popitem(last=False)
    _parsed.move_to_end(key)
    return _parsed[key]


def _invoke(arguments: list[str], manifest: Any = None, callbacks: Sequence[Callable[[Any], None]] = ()) -> Any:
    """Return dbt's own outcome. On a full disk its log file lacks lines, without a traceback for each."""
    from dbt.cli.main import dbtRunner

    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        return dbtRunner(manifest, callbacks=list(callbacks)).invoke(arguments)
    finally:
        logging.raiseExceptions = before


def _arguments(args: Sequence[str], place: DbtPlace, *, quiet: bool) -> list[str]:
    top = ["--no-version-check", "--no-send-anonymous-usage-stats", "--log-path", str(place.logs)]
    if quiet:
        top += ["--log-level=none", "--log-level-file=info", "--no-use-colors", "--no-use-colors-file", "--no-print"]
        top += ["--no-write-json"]
    own = [f"--project-dir={place.project}", f"--profiles-dir={place.project}", f"--target-path={place.target}"]
    if _WITH_VARS & set(args):
        args = merge_variables(args, place.variables)
    return [*top, *args, *own]


def _read_variables(text: str) -> dict[str, Any]:
    from dbt.clients.yaml_helper import load_yaml_text
    from dbt_common.exceptions import DbtValidationError

    why = "it is not a mapping of names to values"
    try:
        found = load_yaml_text(text)
    except DbtValidationError as error:
        found, why = None, _short(str(error))
    if not isinstance(found, dict):
        raise InputError(
            f"dbt's --vars {text!r} cannot be used: {why}; write them like --vars '{{close_settle_seconds: 60}}'"
        )
    return found


def _free_local_file() -> None:
    """Close dbt's connections: on DuckDB it would keep the file open, and locked for other processes."""
    connections = sys.modules.get("dbt.adapters.duckdb.connections")
    if connections is not None:
        manager = connections.DuckDBConnectionManager
        if manager._ENV is not None:
            manager._ENV.close()
        manager.close_all_connections()


def _results(result: Any) -> list[Any]:
    """Return what ran, of a verb that runs nodes."""
    return [one for one in getattr(result, "results", None) or [] if getattr(one, "node", None) is not None]


def _failure(result: Any, place: DbtPlace) -> str:
    node = result.node
    compiled = getattr(node, "compiled_path", None)
    where = f"; its SQL is in {place.target.parent / compiled}" if compiled else ""
    return f"{node.resource_type} {node.name}: {_short(str(result.message))}{where}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LIMIT else text[:_LIMIT] + " …"
