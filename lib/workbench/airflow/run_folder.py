"""The run folder of a task, from its DAG, run, name and try.

``runs/<dag>/<run>/`` in ``MINIO_ARTIFACTS_BUCKET`` holds a run's executed notebooks, one an attempt, and its decided
trade date.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from stocklib.settings import Settings


@dataclass(frozen=True)
class RunFolder:
    """One try of one task. ``instant`` is the run's logical moment, None where it is unknown."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    attempt: int
    instant: datetime | None
    params: Mapping[str, Any]

    @property
    def run(self) -> str:
        """The run's folder.

        >>> RunFolder("daily", "scheduled__2012-12-14T23:00:00+00:00", "fetch", -1, 1, None, {}).run
        'daily/scheduled__2012-12-14T23-00-00-00-00'
        """
        return f"{self.dag_id}/{re.sub(r'[^A-Za-z0-9._-]+', '-', self.run_id)}"

    @property
    def task(self) -> str:
        """The folder of this try."""
        part = f".{self.map_index}" if self.map_index >= 0 else ""
        return f"{self.run}/{self.task_id}{part}.try{self.attempt}"


def run_folder_of(context: Any) -> RunFolder:
    """Return the run folder of this context's task."""
    run, task = context["dag_run"], context["ti"]
    return RunFolder(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=task.task_id,
        map_index=-1 if task.map_index is None else int(task.map_index),
        attempt=int(task.try_number),
        instant=run.data_interval_end or run.logical_date,
        params=context.get("params") or {},
    )


def link(settings: Settings, address: str) -> str:
    """Return an ``s3://`` address as a web address by ``ARTIFACTS_URL``; unchanged where that is empty."""
    base = str(settings.artifacts_url).rstrip("/")
    is_kept = base and address.startswith("s3://")
    return f"{base}/{quote(address.removeprefix('s3://'))}" if is_kept else address
