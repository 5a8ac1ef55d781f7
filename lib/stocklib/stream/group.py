"""Getting into a group: what its client throws away is kept, and a leader who has left is noticed and replaced.

The client waits for the answer to a join in the caller's polls, and forgets one that comes between two of them: it then
joins from the start, three seconds more on the embedded broker, each time that a busy machine makes it so.

The embedded broker goes on naming a leader who left, or slept past its session, while another member was joining: each
later member is told to wait for what that one hands out, for ever. A broker that answers a heartbeat of the leader it
names with "unknown member" is in that state, and takes whoever joins under that name for the leader. Apache Kafka never
names a leader whom it does not know, and would refuse such a name.
"""

import logging
from contextlib import suppress
from typing import Any

from stocklib.stream.broker import failures

log = logging.getLogger(__name__)

# A leader who is slow to hand out the partitions is named once; one who is gone, every time.
_TIMES = 2


def keep_joined(client: Any) -> None:
    """Have a client take what a join brought, also where that came while nobody polled."""
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
    """Whom the brokers name as the leader when this client joins its group."""

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
        """The member that the group waits for and does not know; None where there is none."""
        if self._times < _TIMES or not self._leader:
            return None
        from kafka.errors import UnknownMemberIdError
        from kafka.protocol.consumer import HeartbeatRequest

        manager, coordinator = self._coordinator._manager, self._coordinator
        request = HeartbeatRequest(
            group_id=coordinator.group_id, generation_id=self._generation, member_id=self._leader
        )

        async def ask() -> Any:
            return await manager.send(request, node_id=coordinator.coordinator_id)

        with suppress(*failures()):
            if manager.run(ask).error_code == UnknownMemberIdError.errno:
                return self._leader
        return None

    def _note(self, response: Any) -> None:
        is_other = response.leader != response.member_id
        is_same = (response.leader, response.generation_id) == (self._leader, self._generation)
        self._times = (self._times + 1 if is_same else 1) if is_other else 0
        self._leader, self._generation = response.leader, response.generation_id


def take_place(client: Any, member: str) -> None:
    """Have a client that has not joined yet do so in the place of this member."""
    from kafka.coordinator.base import Generation
    from kafka.protocol.consumer import DEFAULT_GENERATION_ID

    log.warning("the group %s waits for a leader who has left: taking its place", client._coordinator.group_id)
    client._coordinator._generation = Generation(DEFAULT_GENERATION_ID, member, None)
