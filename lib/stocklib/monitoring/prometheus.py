"""The facts of a process's last heartbeat as Prometheus text, on loopback only.

Nothing is counted twice: each scrape reads the heartbeat's facts. ``docs/health.md`` lists the metrics,
``monitoring/rules.yml`` has alerts. This is the one module that imports ``prometheus_client``, and only where
``METRICS_PORT`` is set.
"""

import errno
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stocklib.errors import SettingsError
from stocklib.web_guard import refuse_page

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Processes of a machine share METRICS_PORT: each takes the first free of so many ports from it on.
PORTS = 10

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Spec:
    """One metric: which kinds have it (None: every kind of process), and how to compute it.

    ``of`` returns a number, None where it is unknown, or numbers by the value of ``label``.
    """

    name: str
    kinds: tuple[str, ...] | None
    text: str
    of: Callable[[Facts], Any]
    label: str = ""


def _fact(name: str) -> Callable[[Facts], Any]:
    return lambda facts: facts.get(name)


def _confirmed(facts: Facts) -> int | None:
    return sum(facts["confirmed"].values()) if "confirmed" in facts else None


def _source_errors(facts: Facts) -> dict[str, int]:
    return {
        reason: sum(facts[fact].values())
        for reason, fact in (("no_answer", "failed"), ("no_price", "skipped"))
        if fact in facts
    }


_FEEDS = ("producer", "trades")
# A name that ends in _total is a counter, any other a gauge; times are epoch seconds.
_SPECS = (
    _Spec("stocks_up", None, "1 while the process runs.", lambda facts: int(not facts["ended"])),
    _Spec(
        "stocks_heartbeat_timestamp_seconds", None, "When it last wrote a heartbeat, this machine's time.", _fact("at")
    ),
    _Spec(
        "stocks_last_event_timestamp_seconds",
        None,
        "When the newest quote or trade it handled was fetched, on the source's clock.",
        _fact("last_event_at"),
    ),
    _Spec(
        "stocks_errors_total", None, "Calls, reads, writes and loads that failed; most were repeated.", _fact("errors")
    ),
    _Spec(
        "stocks_trouble",
        None,
        "1 while it waits: for its source, Kafka, S3, or a load that succeeds.",
        lambda facts: int(bool(facts.get("trouble"))),
    ),
    _Spec("stocks_quotes_published_total", ("producer",), "Quotes handed to Kafka.", _fact("messages")),
    _Spec("stocks_trades_published_total", ("trades",), "Trades handed to Kafka.", _fact("messages")),
    _Spec("stocks_messages_confirmed_total", _FEEDS, "Quotes or trades that Kafka confirmed.", _confirmed),
    _Spec("stocks_messages_unconfirmed", _FEEDS, "Quotes or trades in flight to Kafka.", _fact("lag")),
    _Spec("stocks_messages_spooled", _FEEDS, "Quotes or trades that are only on disk.", _fact("spooled")),
    _Spec("stocks_source_errors_total", _FEEDS, "Calls that gave no quote.", _source_errors, "reason"),
    _Spec("stocks_rounds_total", ("producer",), "Rounds over the watchlist.", _fact("rounds")),
    _Spec(
        "stocks_source_clock_timestamp_seconds",
        _FEEDS,
        "The source's clock.",
        lambda facts: (facts.get("clock") or {}).get("now"),
    ),
    _Spec("stocks_market_open", _FEEDS, "1 while the regular session is on.", _fact("market_open")),
    _Spec(
        "stocks_last_market_timestamp_seconds",
        _FEEDS,
        "The newest instant at which one of the prices was true.",
        _fact("last_market_at"),
    ),
    _Spec("stocks_messages_landed_total", ("consumer",), "Messages written to the lake.", _fact("messages")),
    _Spec("stocks_objects_landed_total", ("consumer",), "Objects written to the lake.", _fact("objects")),
    _Spec("stocks_dead_letters_total", ("consumer",), "Messages sent to the dead letters.", _fact("dead_letters")),
    _Spec(
        "stocks_consumer_lag_messages", ("consumer",), "Messages in Kafka, not yet read.", _fact("lags"), "partition"
    ),
    _Spec("stocks_consumer_held_messages", ("consumer",), "Messages read, not yet in the lake.", _fact("held")),
    _Spec(
        "stocks_consumer_partitions",
        ("consumer",),
        "Partitions that this member reads.",
        lambda facts: len(facts.get("partitions") or ()),
    ),
    _Spec(
        "stocks_consumer_waiting_for_s3",
        ("consumer",),
        "1 while S3 accepts no object.",
        lambda facts: int(bool(facts.get("waiting_for_s3"))),
    ),
    _Spec("stocks_lines_loaded_total", ("loader",), "Lines loaded into the warehouse.", _fact("messages")),
    _Spec("stocks_loads_total", ("loader",), "Loads that were finished.", _fact("loads")),
    _Spec(
        "stocks_last_load_timestamp_seconds",
        ("loader",),
        "When gold was last published, this machine's time.",
        _fact("published_at"),
    ),
)


class MetricsServer:
    """Answers ``GET /metrics`` with the facts that ``latest`` returns, in a thread, until it is closed.

    Raises ``SettingsError`` when ``port`` and the nine after it are taken.
    """

    def __init__(self, port: int, *, kind: str, latest: Callable[[], Facts]) -> None:
        from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, start_http_server

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_collector(kind, latest))
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        for candidate in range(port, min(port + PORTS, 65_536)):
            try:
                self._server, self._thread = start_http_server(candidate, HOST, registry)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                self._server.set_app(_guarded(self._server.get_app()))
                self.address = f"http://{HOST}:{candidate}/metrics"
                log.info("metrics at %s", self.address)
                return
        raise SettingsError(
            f"METRICS_PORT={port}: no port from {port} to {port + PORTS - 1} is free on {HOST}; "
            "choose another, or 0 for no metrics"
        )

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _guarded(app: Any) -> Any:
    """Return the WSGI application, refusing requests of web pages (``web_guard``)."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        known = (("HTTP_HOST", "Host"), ("HTTP_ORIGIN", "Origin"), ("HTTP_SEC_FETCH_SITE", "Sec-Fetch-Site"))
        said = refuse_page({name: environ[key] for key, name in known if key in environ})
        if said is None:
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{said}\n".encode()]

    return answer


def _collector(kind: str, latest: Callable[[], Facts]) -> Any:
    from prometheus_client.registry import Collector

    class Latest(Collector):
        """The facts at the moment of a scrape, as metrics."""

        def collect(self) -> "Iterable[Metric]":
            if facts := latest():
                yield from _families(kind, facts)

    return Latest()


def _families(kind: str, facts: Facts) -> "Iterable[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    about = InfoMetricFamily("stocks_run", "Which run this is.", labels=["role"])
    about.add_metric([kind], {name: str(facts.get(name) or "") for name in ("run_id", "source", "topic")})
    yield about
    for spec in _SPECS:
        value = spec.of(facts) if spec.kinds is None or kind in spec.kinds else None
        if value is None:
            continue
        family = CounterMetricFamily if spec.name.endswith("_total") else GaugeMetricFamily
        labels = ["role", spec.label] if spec.label else ["role"]
        metric = family(spec.name, spec.text, labels=labels)
        for labelled, number in value.items() if spec.label else (("", value),):
            metric.add_metric([kind, labelled][: len(labels)], float(number))
        yield metric
