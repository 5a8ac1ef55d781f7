"""The facts of a process's last heartbeat as Prometheus text, on loopback only.

Nothing is counted twice: each scrape reads the heartbeat's facts. ``docs/health.md`` lists the metrics,
``monitoring/rules.yml`` has alerts. This is the one module that imports ``prometheus_client``, and only where
``METRICS_PORT`` is set.
"""

import errno
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from stocklib.errors import SettingsError
from stocklib.web_guard import refuse_page

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Processes of a machine share METRICS_PORT: each takes the first free of so many ports from it on.
PORTS = 10

Facts = Mapping[str, Any]

# Each metric: its fact, its label where the fact is numbers by label, and which kinds of process have it (without
# ``kinds`` every one). A name that ends in _total is a counter, any other a gauge; times are epoch seconds.
METRICS: list[dict[str, Any]] = orjson.loads(Path(__file__).with_name("metrics.json").read_bytes())


class MetricsServer:
    """Answers ``GET /metrics`` with the facts that ``latest`` returns, in a thread, until it is closed.

    Raises ``SettingsError`` when ``port`` and the nine after it are taken.
    """

    def __init__(self, port: int, *, kind: str, latest: Callable[[], Facts]) -> None:
        from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, start_http_server

        registry = CollectorRegistry(auto_describe=False)
        self._kind, self._latest = kind, latest
        registry.register(self)
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

    def collect(self) -> "Iterable[Metric]":
        """Yield the latest facts as metrics; the registry calls it at each scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        facts, kind = self._latest(), self._kind
        if not facts:
            return
        about = InfoMetricFamily("stocks_run", "Which run this is.", labels=["role"])
        about.add_metric([kind], {name: str(facts.get(name) or "") for name in ("run_id", "source", "topic")})
        yield about
        shown = _shown(facts)
        for metric in METRICS:
            value = shown.get(metric["fact"])
            if value is None or kind not in metric.get("kinds", [kind]):
                continue
            of_kind = CounterMetricFamily if metric["name"].endswith("_total") else GaugeMetricFamily
            if "label" in metric:
                family = of_kind(metric["name"], metric["help"], labels=["role", metric["label"]])
                for label, number in value.items():
                    family.add_metric([kind, label], number)
            else:
                family = of_kind(metric["name"], metric["help"], labels=["role"])
                family.add_metric([kind], value)
            yield family

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _guarded(app: Any) -> Any:
    """Return the WSGI application, refusing requests of web pages (``web_guard``)."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        known = (("HTTP_HOST", "Host"), ("HTTP_ORIGIN", "Origin"), ("HTTP_SEC_FETCH_SITE", "Sec-Fetch-Site"))
        refusal = refuse_page({name: environ[key] for key, name in known if key in environ})
        if refusal is None:
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{refusal}\n".encode()]

    return answer


def _shown(facts: Facts) -> dict[str, Any]:
    """Return the facts with those that only the metrics show."""
    errors = {"no_answer": facts.get("failed"), "no_price": facts.get("skipped")}
    return {
        **facts,
        "is_up": not facts["ended"],
        "has_trouble": bool(facts.get("trouble")),
        "confirmed": sum(facts["confirmed"].values()) if "confirmed" in facts else None,
        "source_errors": {reason: sum(counts.values()) for reason, counts in errors.items() if counts is not None},
        "source_time": (facts.get("clock") or {}).get("now"),
        "partition_count": len(facts.get("partitions") or ()),
    }
