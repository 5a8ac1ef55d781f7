"""Joining a group: keep an answer that the client would drop, and replace a leader that has left.

The client waits for the answer to a join in the caller's polls, and drops one that comes between two polls: it then
joins from the start. On a busy machine that costs three seconds each time with the embedded broker.

The embedded broker may keep a leader that left, or slept past its session, while another member was joining: each later
member then waits for that leader's assignment for ever. A broker in that state answers "unknown member" to a heartbeat
of the leader that it names, and accepts a member that joins under the leader's name. Apache Kafka never names an
unknown leader, and would refuse such a name.
"""

import logging
from contextlib import suppress
from typing import Any

from kafka.coordinator.base import Generation
from kafka.errors import UnknownMemberIdError
from kafka.protocol.consumer import DEFAULT_GENERATION_ID, HeartbeatRequest

from stocklib.stream.broker import FAILURES

log = logging.getLogger(__name__)

# A slow leader is named once; one that is gone, every time.
_TIMES = 2


def keep_joined(client: Any) -> None:
    """Have a client use the answer to a join, also where it came between two polls."""
    coordinator = client._coordinator
    join = coordinator.join_group_async

    async def again(assignment: Any) -> Any:
        return assignment

    async def join_group(timeout_ms: float | None = None) -> Any:
        task = coordinator._join_task
        if task is not None and task.succeeded():
            coordinator._join_task = coordinator._manager.call_soon(again, task.value)
        return await join(timeout_ms)

    coordinator.join_group_async = join_group


class JoinWatch:
    """Record which leader the brokers name when this client joins its group."""

    def __init__(self, client: Any) -> None:
        self._coordinator = client._coordinator
        self._leader, self._generation, self._times = "", -1, 0
        process = self._coordinator._process_join_group_response

        def note(response: Any, sent: float) -> Any:
            if not response.error_code:
                self._note(response)
            return process(response, sent)

        self._coordinator._process_join_group_response = note

    def gone_leader(self) -> str | None:
        """Return the unknown member that the group waits for; None where there is none."""
        if self._times < _TIMES or not self._leader:
            return None
        manager, coordinator = self._coordinator._manager, self._coordinator
        request = HeartbeatRequest(
            group_id=coordinator.group_id, generation_id=self._generation, member_id=self._leader
        )

        async def ask() -> Any:
            return await manager.send(request, node_id=coordinator.coordinator_id)

        with suppress(*FAILURES):
            if manager.run(ask).error_code == UnknownMemberIdError.errno:
                return self._leader
        return None

    def _note(self, response: Any) -> None:
        is_other = response.leader != response.member_id
        is_same = (response.leader, response.generation_id) == (self._leader, self._generation)
        self._times = (self._times + 1 if is_same else 1) if is_other else 0
        self._leader, self._generation = response.leader, response.generation_id


def take_place(client: Any, member: str) -> None:
    """Have a client join under the name of this member; call it before the first join."""
    log.warning("the group %s waits for a leader who has left: taking its place", client._coordinator.group_id)
    client._coordinator._generation = Generation(DEFAULT_GENERATION_ID, member, None)
