"""The writer's lock of the Snowflake warehouse: one row with the holder and its expiry.

The row is in ``SNOWFLAKE_SCHEMA`` of the private database, where neither a publish nor a rebuild moves it. The server's
clock counts. The holder renews it each minute; a dead holder of this machine, or one that was silent for five minutes,
has lost it, and ``confirm`` inside a transaction keeps such a process from committing.
"""

import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from stocklib.errors import WarehouseBusy, WarehouseError
from stocklib.host import is_alive
from stocklib.warehouse.snowflake.session import SnowflakeSession

log = logging.getLogger(__name__)

_LIFE_SECONDS = 300
_RENEW_SECONDS = 60.0
_POLL_SECONDS = 2.0
COLUMNS = "holder varchar, token varchar, since timestamp_ntz, expires_at timestamp_ntz"


class WriterLock:
    """The lock of one warehouse; ``table`` holds its row."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._token = uuid.uuid4().hex

    @contextmanager
    def hold(
        self, open_session: Callable[[], SnowflakeSession], session: SnowflakeSession, *, wait: float
    ) -> Iterator[None]:
        """Hold the lock during the block, waiting up to ``wait`` seconds; WarehouseBusy names the holder."""
        self._acquire(session, wait)
        done = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(open_session, done), name="writer lock", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join()
            with suppress(WarehouseError):
                session.run(
                    f"update {self.table} set holder = null, token = null, expires_at = null where token = ?",  # noqa: S608
                    [self._token],
                )

    def confirm(self, session: SnowflakeSession) -> None:
        """Check, in a transaction, that no other process took the lock; keep others from it until the commit."""
        if not self._extend(session):
            raise WarehouseBusy(
                "this process was silent for so long that another writer took the lock; nothing was "
                "written: run it again"
            )

    def _acquire(self, session: SnowflakeSession, wait: float) -> None:
        session.run(f"create table if not exists {self.table} ({COLUMNS})")
        session.run(
            f"insert into {self.table} select null, null, null, null "  # noqa: S608
            f"where not exists (select 1 from {self.table})"
        )
        deadline = time.monotonic() + wait
        while not self._take(session):
            holder = self._holder(session)
            if holder is None:
                continue
            if time.monotonic() >= deadline:
                raise WarehouseBusy(f"the warehouse is locked: {holder}; wait for it to finish, or stop it")
            time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))

    def _take(self, session: SnowflakeSession) -> bool:
        who = json.dumps({"host": platform.node(), "pid": os.getpid()})
        return bool(
            session.run(
                f"update {self.table} set holder = ?, token = ?, since = sysdate(), "  # noqa: S608
                f"expires_at = dateadd('second', {_LIFE_SECONDS}, sysdate()) "
                "where token is null or expires_at < sysdate()",
                [who, self._token],
            )
        )

    def _extend(self, session: SnowflakeSession) -> bool:
        return bool(
            session.run(
                f"update {self.table} set expires_at = dateadd('second', {_LIFE_SECONDS}, sysdate()) "  # noqa: S608
                "where token = ?",
                [self._token],
            )
        )

    def _holder(self, session: SnowflakeSession) -> str | None:
        """Return the holder in words; None when it was a dead process of this machine: the lock is free now."""
        row = session.row(f"select holder, token, since from {self.table}")  # noqa: S608
        if row is None or row[1] is None:
            return "another process had it just now"
        try:
            holder = json.loads(row[0])
            host, pid = str(holder["host"]), int(holder["pid"])
        except (ValueError, KeyError, TypeError):
            return f"{row[0]} has been writing since {row[2]} UTC"
        if host == platform.node() and not is_alive(pid):
            log.warning("process %s held the warehouse and is dead: its lock is taken over", pid)
            session.run(f"update {self.table} set token = null where token = ?", [row[1]])  # noqa: S608
            return None
        return f"process {pid} on {host} has been writing since {row[2]:%Y-%m-%d %H:%M} UTC"

    def _renew(self, open_session: Callable[[], SnowflakeSession], done: threading.Event) -> None:
        """Renew the lock in a session of its own: the holder's may be in a transaction, or busy for minutes."""
        session: SnowflakeSession | None = None
        while not done.wait(_RENEW_SECONDS):
            try:
                session = session or open_session()
                if not self._extend(session):
                    log.error("the writer's lock was lost: the current work will not be committed")
                    break
            except WarehouseError as error:
                log.warning("the writer's lock could not be renewed: %s", error)
                session = None
        if session is not None:
            session.close()
