"""Publishing: keyed, numbered, confirmed in the background, and sent again with the same number where that failed."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stocklib.errors import StreamError
from stocklib.quotes import to_epoch
from stocklib.settings import Settings
from stocklib.stream.connection import connect, create_topics, failures

log = logging.getLogger(__name__)

_MAX_UNCONFIRMED = 10_000
# Without any progress for this long, a publish or a flush fails.
_PATIENCE = 60.0


@dataclass(slots=True)
class _Record:
    topic: str
    key: str | None
    value: bytes | None
    timestamp_ms: int
    headers: Mapping[str, str]
    seq: int | None


@dataclass(slots=True)
class _Count:
    """Of one symbol: the last seq given out, and those not confirmed yet, in order."""

    last: int = 0
    open: dict[int, None] = field(default_factory=dict)

    @property
    def confirmed(self) -> int:
        """Everything up to here is confirmed."""
        return next(iter(self.open)) - 1 if self.open else self.last


class Producer:
    """Publishes and confirms in the background; blocks while too much is unconfirmed.

    A client that failed for good is replaced, and what it did not confirm is sent again with the same seq. It is made
    for one publishing thread; the counts may be read from any.
    """

    def __init__(self, settings: Settings, *, source: str, run_id: str | None = None) -> None:
        self.source = source
        self.run_id = run_id or f"{source}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self._settings = settings
        self._counts: dict[str, _Count] = {}
        self._unconfirmed: dict[int, _Record] = {}
        self._sent = 0
        self._failure: Exception | None = None
        # confirmations come from the client's own thread
        self._changed = threading.Condition()
        create_topics(settings)
        self._client = _connect(settings)

    def publish(self, topic: str, symbol: str, value: bytes, *, timestamp: datetime) -> int:
        """Send an event of a symbol on its way and return its seq; ``timestamp`` is when it was fetched."""
        self._make_room()
        with self._changed:
            count = self._counts.setdefault(symbol, _Count())
            count.last += 1
            count.open[count.last] = None
            seq = count.last
        headers = {"run_id": self.run_id, "seq": str(seq), "source": self.source}
        self._note(_Record(topic, symbol, value, round(to_epoch(timestamp) * 1000), headers, seq))
        return seq

    def forward(
        self, topic: str, key: str | None, value: bytes | None, *, timestamp_ms: int, headers: Mapping[str, str]
    ) -> None:
        """Send a message that has its headers already, such as a dead letter."""
        self._make_room()
        self._note(_Record(topic, key, value, timestamp_ms, headers, None))

    @property
    def confirmed(self) -> dict[str, int]:
        """Of each symbol the seq up to which everything is confirmed."""
        with self._changed:
            return {symbol: count.confirmed for symbol, count in self._counts.items()}

    @property
    def unconfirmed(self) -> int:
        """How many messages are on their way."""
        return len(self._unconfirmed)

    def flush(self) -> None:
        """Wait until everything is confirmed; ``StreamError`` says how much is not."""
        self._wait_until(lambda: not self._unconfirmed)

    def close(self) -> None:
        """Flush, then let go of the connection."""
        try:
            self.flush()
        finally:
            with suppress(*failures()):
                self._client.close(timeout=5)

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            # the error that ends the block is the one to be seen
            with suppress(StreamError):
                self.close()

    def _note(self, record: _Record) -> None:
        self._sent += 1
        serial = self._sent
        with self._changed:
            self._unconfirmed[serial] = record
        self._send(serial, record)

    def _send(self, serial: int, record: _Record) -> None:
        client = self._client
        try:
            sent = client.send(
                record.topic,
                key=None if record.key is None else record.key.encode(),
                value=record.value,
                headers=[(name, text.encode()) for name, text in record.headers.items()],
                timestamp_ms=record.timestamp_ms,
            )
        except failures() as error:
            self._fail(client, error)
            return
        sent.add_callback(self._confirm, serial)
        sent.add_errback(self._fail, client)

    def _confirm(self, serial: int, _: object) -> None:
        with self._changed:
            record = self._unconfirmed.pop(serial, None)
            if record and record.seq and record.key is not None:
                self._counts[record.key].open.pop(record.seq, None)
            self._changed.notify_all()

    def _fail(self, client: object, error: Exception) -> None:
        with self._changed:
            # a client that was replaced already has nothing more to say
            if client is self._client and self._failure is None:
                self._failure = error
            self._changed.notify_all()

    def _make_room(self) -> None:
        if self._failure or len(self._unconfirmed) >= _MAX_UNCONFIRMED:
            self._wait_until(lambda: len(self._unconfirmed) < _MAX_UNCONFIRMED)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        """Wait for confirmations, replacing a client that failed, for as long as there is progress."""
        left, since = len(self._unconfirmed), time.monotonic()
        while self._failure or not done():
            if self._failure:
                self._replace_client(self._failure, until=since + _PATIENCE)
            with suppress(*failures()):
                # what lingers need not
                self._client.flush(timeout=1)
            if len(self._unconfirmed) < left:
                left, since = len(self._unconfirmed), time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                raise self._give_up(None)
            with self._changed:
                if not self._failure and not done():
                    self._changed.wait(timeout=0.1)

    def _replace_client(self, failure: Exception, *, until: float) -> None:
        """Make a new client, and send again, in order, what the old one did not confirm."""
        if isinstance(failure, _final()):
            raise self._give_up(failure) from failure
        log.warning("Kafka at %s failed the producer (%r): making a new one", self._settings.kafka_broker, failure)
        with suppress(*failures()):
            self._client.close(timeout=0)
        pause = 0.2
        while True:
            try:
                self._client = _connect(self._settings)
                break
            except StreamError as error:
                if time.monotonic() > until:
                    raise self._give_up(error) from error
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
        self._failure = None
        for serial, record in list(self._unconfirmed.items()):
            if self._failure:
                break
            self._send(serial, record)

    def _give_up(self, error: Exception | None) -> StreamError:
        why = f" ({error or 'no progress for a minute'})"
        return StreamError(
            f"Kafka at {self._settings.kafka_broker} did not confirm {len(self._unconfirmed)} messages{why}: "
            f"check that it runs, and KAFKA_BROKER. Confirmed by symbol: {self.confirmed}"
        )


def _connect(settings: Settings) -> Any:
    from kafka import KafkaProducer

    return connect(
        settings,
        KafkaProducer,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=20,
        batch_size=128 * 1024,
        max_block_ms=10_000,
        request_timeout_ms=10_000,
        delivery_timeout_ms=30_000,
    )


def _final() -> tuple[type[Exception], ...]:
    """What another client would meet as well."""
    from kafka import errors

    return (
        errors.AuthorizationError,
        errors.SaslAuthenticationFailedError,
        errors.MessageSizeTooLargeError,
        errors.InvalidTopicError,
    )
