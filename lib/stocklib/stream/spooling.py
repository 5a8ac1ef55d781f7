"""The producer with a spool: unconfirmed events are on disk, and a run goes on while Kafka is away."""

import logging
import time

from stocklib.backoff import Backoff
from stocklib.clocks import Stop
from stocklib.errors import StreamError
from stocklib.settings import Settings
from stocklib.stream.producer import MAX_UNCONFIRMED, Producer
from stocklib.stream.sent import Sent
from stocklib.stream.spool import Spool, abandoned, count_torn, discard, keep_torn, read_spool

log = logging.getLogger(__name__)

# Kafka counts as away when a message is unconfirmed for so long; the pauses between tries to reach it again.
_AWAY_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


class SpoolingProducer(Producer):
    """A producer whose events are on disk until they are confirmed, ``PRODUCER_SPOOL_MB`` of them at most.

    ``publish`` does not wait while Kafka is away: events go to the spool, and ``maintain`` sends them in order once it
    is back. Where the spool is full, or cannot be written then, it raises ``StreamError`` and has given up. Events that
    earlier runs left on disk are sent first, under their own run ids and seqs. With 0 MB nothing goes to disk.
    """

    def __init__(self, settings: Settings, *, source: str, run_id: str | None = None, stop: Stop | None = None) -> None:
        super().__init__(settings, source=source, run_id=run_id, stop=stop)
        self._limit = settings.producer_spool_mb * 1_000_000
        self._was_away = self._is_unwritable = self._is_stuck = False
        self._backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        try:
            self._spool = Spool(settings.home, run_id=self.run_id)
        except OSError as error:
            super().close(flush=False)
            where = settings.home / "spool"
            raise StreamError(f"{where} cannot be used ({error}): STOCKS_HOME must be a folder of yours") from error
        try:
            self._send_abandoned()
        except StreamError:
            self.close(flush=False)
            raise

    @property
    def spooled(self) -> int:
        """Return how many events are only on disk: all unconfirmed ones while Kafka is away, else the unsent ones.

        Events in flight to a healthy Kafka do not count, though they are on disk too. Asking acknowledges what is
        confirmed, and sends what waits.
        """
        self._acknowledge_confirmed()
        return self._spool.held if self.is_away else self._spool.waiting

    @property
    def is_away(self) -> bool:
        """Return whether Kafka is late with a confirmation, and has confirmed nothing since.

        A broker that accepts a new client and confirms nothing is still away.
        """
        late = bool(self._open) and time.monotonic() - self._open[0].since > _AWAY_SECONDS
        self._is_stuck = self._failure is not None or (bool(self._open) and (self._is_stuck or late))
        return self._is_stuck

    @property
    def trouble(self) -> str | None:
        """Return a sentence about what keeps events from Kafka; None while nothing does."""
        if not (self.is_away and self._spool.held):
            return None
        return f"Kafka at {self._settings.kafka_broker} confirms nothing: {self._spool.held:,} events wait on disk"

    def maintain(self) -> None:
        """Do non-blocking maintenance (reconnect, drain the spool); call it in the poll loop."""
        self._acknowledge_confirmed()
        if self._failure and not self._given_up and self._backoff.is_over:
            self._try_again(self._failure)
            self._acknowledge_confirmed()
        if self.is_away != self._was_away:
            self._was_away = not self._was_away
            if self._was_away:
                log.error("%s does not confirm: quotes wait in %s", self._settings.kafka_broker, self._spool.path)
            else:
                log.warning("%s confirms again; %d quotes wait to go out", self._settings.kafka_broker, self._left)

    def close(self, *, flush: bool = True) -> None:
        """Flush, then close the connection and the file, which stays where it holds messages."""
        try:
            super().close(flush=flush)
        finally:
            self._spool.close()

    @property
    def _left(self) -> int:
        return len(self._open) + self._spool.waiting

    def _accept(self, message: Sent) -> None:
        if not self._limit:
            super()._accept(message)
            return
        if self._given_up:
            raise self._given_up
        self._acknowledge_confirmed()
        waits = bool(self._failure or self._spool.waiting or len(self._open) >= MAX_UNCONFIRMED)
        message.is_spooled = self._write(message, waits=waits)
        if not waits:
            self._send(message)
        self.maintain()
        if self._spool.size >= self._limit:
            raise self._give_up(f"{self._spool.path} is full, see PRODUCER_SPOOL_MB")

    def _write(self, message: Sent, *, waits: bool) -> bool:
        """Return whether an event is on disk; raise where it is not and Kafka cannot take it either."""
        try:
            self._spool.append(message, waits=waits)
            if waits or self.is_away:
                self._spool.sync()
        except OSError as error:
            if waits or self.is_away:
                raise self._give_up(f"and {self._spool.path} cannot be written: {error}") from error
            if not self._is_unwritable:
                log.error("%s cannot be written (%s): a kill now loses the events in flight", self._spool.path, error)
            self._is_unwritable = True
            return False
        return True

    def _acknowledge_confirmed(self) -> None:
        """Acknowledge the confirmed messages, then send waiting ones while there is room."""
        super()._acknowledge_confirmed()
        while self._spool.waiting and not self._failure and len(self._open) < MAX_UNCONFIRMED:
            self._send(self._spool.next_waiting())

    def _acknowledge(self) -> None:
        if self._open[0].is_spooled:
            self._spool.confirm()
        super()._acknowledge()
        self._is_stuck = False

    def _try_again(self, failure: Exception) -> None:
        """Try once to replace the client that failed; each next try waits longer."""
        self._drop_failed_client(failure)
        began = time.monotonic()
        try:
            self._renew()
            self._backoff.succeed()
        except StreamError as error:
            log.debug("Kafka is still away: %s", error)
            # so that attempts that hang do not use most of the run's time
            self._backoff.fail(at_least=3 * (time.monotonic() - began))

    def _send_abandoned(self) -> None:
        topics = {self._settings.kafka_topic, self._settings.kafka_trades_topic}
        with abandoned(self._settings.home) as files:
            for path in files:
                foreign = {message.topic for message in read_spool(path)} - topics
                if foreign:
                    log.warning("%s waits for a run with KAFKA_TOPIC=%s", path, ", ".join(foreign))
                    continue
                if torn := count_torn(path):
                    log.error(
                        "%s has %d torn lines (a power cut?): what they held is lost, the rest is sent", path, torn
                    )
                count = 0
                for message in read_spool(path):
                    super()._accept(message)
                    count += 1
                self.flush()
                log.warning("%d quotes that an earlier run could not send are in Kafka now (%s)", count, path.stem)
                if torn:
                    keep_torn(path)
                else:
                    discard(path)

    def _spool_note(self) -> str:
        return f". What is on disk stays there, in {self._spool.path.parent}, and the next run sends it"
