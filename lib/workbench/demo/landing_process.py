"""Landing in a process of its own, as in production; the demo counts the landed messages."""

import multiprocessing
import signal
import threading
import time
from multiprocessing.queues import Queue
from queue import Empty
from types import TracebackType
from typing import Any, Self

from stocklib.errors import StocksError, StreamError
from stocklib.pipeline.landing import land
from stocklib.settings import read_settings


class LandingProcess:
    """Lands the demo's messages while the block runs; ``wait_for`` waits until so many have landed."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._news: Queue[int | str] = context.Queue()
        self._stop = context.Event()
        self._process = context.Process(target=_land, args=(self._news, self._stop), daemon=True)
        self.landed = 0
        self.result = ""

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._process.join(30)
        while not self._news.empty():
            self._hear(0.1)

    def wait_for(self, wanted: int, *, seconds: float) -> None:
        """Wait until ``wanted`` messages have landed; ``StreamError`` when it takes longer, or the process ended."""
        deadline = time.monotonic() + seconds
        while self.landed < wanted:
            if time.monotonic() > deadline:
                raise StreamError(f"{self.landed} of {wanted} quotes landed within {seconds:.0f} s; see the log")
            if not self._hear(0.2) and not self._process.is_alive():
                raise StreamError(f"landing ended after {self.landed} of {wanted} quotes: {self.result or 'no reason'}")

    def _hear(self, seconds: float) -> bool:
        try:
            news = self._news.get(timeout=seconds)
        except Empty:
            return False
        if isinstance(news, int):
            self.landed += news
        else:
            self.result = news
        return True


def _land(news: "Queue[int | str]", stop: Any) -> None:
    """Run the process: land until ``stop`` is set or the demo is gone; put batch sizes and the result into ``news``."""
    # Ctrl-C reaches every process of a terminal; the demo decides when to end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_with_the_demo, args=(stop,), daemon=True).start()
    try:
        news.put(str(land(read_settings(demo=True), stop=stop, on_batch=lambda batch: news.put(batch.messages))))
    except StocksError as error:
        news.put(str(error))


def _stop_with_the_demo(stop: Any) -> None:
    demo = multiprocessing.parent_process()
    if demo is not None:
        demo.join()
        stop.set()
