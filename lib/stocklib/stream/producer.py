"""The producer: publish with a key and a number, confirm in the background, send again under the same number."""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self

from kafka import KafkaProducer, errors
from tenacity import Retrying, retry_if_exception_type, wait_exponential

from stocklib.clocks import Stop
from stocklib.errors import StreamError
from stocklib.quotes import to_epoch
from stocklib.settings import Settings
from stocklib.stream.broker import FAILURES, connect, create_topics
from stocklib.stream.sent import Sent

log = logging.getLogger(__name__)

MAX_UNCONFIRMED = 10_000
# A publish or a flush fails after so long without progress; in a run that ends, sooner.
_STUCK_SECONDS, _STUCK_SECONDS_AT_THE_END = 60.0, 10.0
# After how long a client gives up a request, and a message; a new client then sends again.
_REQUEST_MS, _DELIVERY_MS = 10_000, 30_000
# A forwarded message may be as large as a message that was read, and has more headers; the brokers set the limit.
_MAX_BYTES = 4 * 2**20
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
# What a new client would raise as well; a timestamp is invalid where a clock is an hour ahead of the broker's.
_FINAL = (
    *_TOO_LARGE,
    *(errors.AuthorizationError, errors.SaslAuthenticationFailedError),
    *(errors.InvalidTopicError, errors.InvalidTimestampError),
)


class Producer:
    """Publishes and confirms in the background; blocks while too much is unconfirmed. Use it from one thread.

    Messages count as confirmed in the order in which they were published: every event of a symbol up to its seq in
    ``confirmed`` is confirmed. A new client replaces one that failed, and sends what it did not confirm again, with the
    same seq. A producer that raised ``StreamError`` has given up and raises it from then on; it gives up sooner once
    ``stop`` is set.
    """

    def __init__(self, settings: Settings, *, source: str, run_id: str | None = None, stop: Stop | None = None) -> None:
        self.source = source
        self.run_id = run_id or f"{source}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self._settings = settings
        self._stop = stop or threading.Event()
        self._stamp = [("run_id", self.run_id.encode()), ("source", source.encode())]
        self._last: dict[str, int] = {}
        self._confirmed: dict[str, int] = {}
        self._open: deque[Sent] = deque()
        self._failure: Exception | None = None
        self._given_up: StreamError | None = None
        create_topics(settings)
        self._client = _connect(settings)

    def publish(self, topic: str, symbol: str, value: bytes, *, timestamp: datetime) -> int:
        """Publish an event of a symbol and return its seq; ``timestamp`` is when it was fetched.

        ``timestamp`` is the source's clock. The header ``received_at`` is this machine's, in milliseconds.
        """
        seq = self._last.get(symbol, 0) + 1
        headers = [*self._stamp, ("seq", b"%d" % seq), ("received_at", b"%d" % round(time.time() * 1000))]
        self._accept(Sent(topic, symbol.encode(), value, round(to_epoch(timestamp) * 1000), headers, symbol, seq))
        self._last[symbol] = seq
        return seq

    def forward(
        self, topic: str, key: str | None, value: bytes | None, *, timestamp_ms: int, headers: Mapping[str, str]
    ) -> None:
        """Publish a message that already has its headers, such as a dead letter.

        A message that is too large for the brokers is cut to its beginning, and gets headers that say so.
        """
        self._make_room()
        packed = [(name, text.encode()) for name, text in headers.items()]
        if key is None and value is None:
            # the client refuses a message without any value
            value = b""
        self._send(Sent(topic, None if key is None else key.encode(), value, timestamp_ms, packed))

    @property
    def confirmed(self) -> dict[str, int]:
        """Return the seq of each symbol up to which every event is confirmed."""
        self._acknowledge_confirmed()
        return {symbol: self._confirmed.get(symbol, 0) for symbol in self._last}

    @property
    def unconfirmed(self) -> int:
        """Return the number of messages that are sent and not confirmed."""
        self._acknowledge_confirmed()
        return self._left

    def flush(self) -> None:
        """Wait until every message is confirmed; ``StreamError`` says how many are not."""
        self._wait(0)

    def close(self, *, flush: bool = True) -> None:
        """Flush, then close the connection."""
        try:
            if flush:
                self.flush()
        finally:
            if self._client:
                _drop(self._client, at_once=bool(self._open))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            # the error that ends the block must be the one that is raised
            with suppress(StreamError):
                self.close()

    @property
    def _left(self) -> int:
        return len(self._open)

    def _accept(self, message: Sent) -> None:
        """Send an event once there is room."""
        self._make_room()
        self._send(message)

    def _make_room(self) -> None:
        self._acknowledge_confirmed()
        if self._failure or self._given_up or len(self._open) >= MAX_UNCONFIRMED:
            self._wait(MAX_UNCONFIRMED - 1)

    def _send(self, message: Sent, *, again: bool = False) -> None:
        if not again:
            self._open.append(message)
        try:
            message.delivery = self._client.send(
                message.topic,
                key=message.key,
                value=message.value,
                headers=message.headers,
                timestamp_ms=message.timestamp_ms,
            )
        except FAILURES as error:
            message.delivery = None
            if isinstance(error, _TOO_LARGE) and self._cut([message]):
                self._send(message, again=True)
            else:
                self._failure = self._failure or error

    def _cut(self, messages: Iterable[Sent]) -> bool:
        """Cut the largest uncut dead letter among these; return whether there was one."""
        candidates = [message for message in messages if not message.seq and not message.is_cut]
        if not candidates:
            return False
        largest = max(candidates, key=lambda message: message.size)
        log.warning("a message of %d bytes is too large for %s and is cut", largest.size, largest.topic)
        largest.cut()
        return True

    def _acknowledge_confirmed(self) -> None:
        """Acknowledge the confirmed messages up to the first that is not."""
        while self._open and self._failure is None:
            first = self._open[0]
            if first.delivery is None or not first.delivery.is_done:
                return
            if first.delivery.failed():
                self._failure = first.delivery.exception
                return
            if first.is_doubtful:
                self._send_doubtful_again()
                return
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Acknowledge the first message."""
        first = self._open.popleft()
        if first.seq:
            self._confirmed[first.symbol] = first.seq

    def _send_doubtful_again(self) -> None:
        doubtful = [message for message in self._open if message.is_doubtful]
        log.warning("Kafka confirmed %d messages as seen before, without an offset: sending them again", len(doubtful))
        for message in doubtful:
            self._send(message, again=True)

    def _wait(self, most: int) -> None:
        """Wait until at most ``most`` are unconfirmed, while there is progress; replace a client that fails."""
        if self._given_up:
            raise self._given_up
        left, since = self._left, time.monotonic()
        while True:
            self._acknowledge_confirmed()
            if self._failure:
                self._replace_client(self._failure, since=since)
            elif self._left <= most:
                return
            if self._left < left:
                left, since = self._left, time.monotonic()
            elif self._has_waited_too_long(since):
                raise self._give_up(f"no progress for {time.monotonic() - since:.0f} s")
            with suppress(*FAILURES):
                if most:
                    # only the first: waiting for all would leave the broker idle
                    self._open[0].delivery.get(timeout=1)
                else:
                    self._client.flush(timeout=1)

    def _has_waited_too_long(self, since: float) -> bool:
        return time.monotonic() - since > (_STUCK_SECONDS_AT_THE_END if self._stop.is_set() else _STUCK_SECONDS)

    def _replace_client(self, failure: Exception, *, since: float) -> None:
        """Make a new client as soon as Kafka accepts one."""
        self._drop_failed_client(failure)
        renewing = Retrying(
            retry=retry_if_exception_type(StreamError),
            wait=wait_exponential(multiplier=0.2, max=5.0),
            stop=lambda _: self._has_waited_too_long(since),
            sleep=self._rest,
            reraise=True,
        )
        try:
            renewing(self._renew)
        except StreamError as error:
            raise self._give_up(error) from error

    def _rest(self, pause: float) -> None:
        if self._stop.is_set():
            # a run that is stopping still flushes, with the same pauses
            time.sleep(pause)
        else:
            self._stop.wait(pause)

    def _drop_failed_client(self, failure: Exception) -> None:
        """Drop the client that failed, unless another one would fail in the same way."""
        # a broker that refuses one message fails all that are in flight, and does not say which it refused
        is_mended = isinstance(failure, _TOO_LARGE) and self._cut(self._open)
        if isinstance(failure, _FINAL) and not is_mended:
            raise self._give_up(failure) from failure
        if self._client:
            log.warning("Kafka at %s failed the producer (%r): making a new one", self._settings.kafka_broker, failure)
            _drop(self._client, at_once=True)
        self._client = None

    def _renew(self) -> None:
        """Make a new client, and send what the old one did not confirm again, in order."""
        self._client = _connect(self._settings)
        self._failure = None
        for message in self._open:
            if self._failure is None and not (message.delivery and message.delivery.succeeded()):
                self._send(message, again=True)

    def _give_up(self, why: object) -> StreamError:
        self._given_up = StreamError(
            f"Kafka at {self._settings.kafka_broker} did not confirm {self._left} messages ({why}): "
            "check that it runs, KAFKA_BROKER, and this machine's clock. "
            f"Confirmed by symbol: {self.confirmed}{self._spool_note()}"
        )
        return self._given_up

    def _spool_note(self) -> str:
        """Return what the error adds about unconfirmed messages on disk."""
        return ""


def _connect(settings: Settings) -> Any:
    return connect(
        settings,
        KafkaProducer,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=settings.kafka_linger_ms,
        batch_size=128 * 1024,
        max_request_size=_MAX_BYTES,
        max_block_ms=10_000,
        request_timeout_ms=_REQUEST_MS,
        delivery_timeout_ms=_DELIVERY_MS,
    )


def _drop(client: Any, *, at_once: bool) -> None:
    if at_once:
        # close() starts with a flush that never ends, and would leave a thread behind that keeps sending
        client._sender.force_close()
    with suppress(*FAILURES):
        client.close(timeout=5)
