"""A notebook as a task: papermill executes it, the run folder keeps the copy, and the task links to it.

An error that a retry cannot mend (a wrong parameter, an unknown symbol, a refused key: ``is_hopeless``) fails at once;
every other one is retried.
"""

import logging
import shutil
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink

from stocklib.errors import LakeError, NotebookFailed
from workbench import runner
from workbench.airflow.common import RAW, WAREHOUSE_POOL
from workbench.airflow.environment import task_settings
from workbench.airflow.run_folder import link, run_folder_of

log = logging.getLogger(__name__)


class NotebookLink(BaseOperatorLink):  # type: ignore[misc]
    """The task's button for the executed notebook."""

    name = "Executed notebook"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address of the last try's copy; empty while there is none."""
        return str(getattr(operator, "executed", ""))


class NotebookOperator(BaseOperator):  # type: ignore[misc]
    """Runs a notebook of the project; ``parameters`` are templated, and checked before anything runs.

    The output of the last cell is logged; XCom holds the copy's address under ``notebook``.
    """

    template_fields = ("notebook", "parameters")
    operator_extra_links = (NotebookLink(),)
    ui_color = "#f7dcb4"

    def __init__(self, *, notebook: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.notebook = notebook
        self.parameters = dict(parameters or {})

    def execute(self, context: Any) -> str:
        """Run it; return the output of its last cell."""
        folder = run_folder_of(context)
        with task_settings() as settings:
            local = settings.home / "runs" / folder.task
            given = {name: value for name, value in self.parameters.items() if value is not None}
            try:
                done = runner.run(settings, self.notebook, given=given, run_id=folder.task)
            except NotebookFailed as error:
                address = _keep(settings, folder, local)
                self.executed = link(settings, address)
                said = str(error).replace(str(local / f"{self.notebook}.ipynb"), self.executed)
                context["ti"].xcom_push(key="notebook", value=self.executed)
                raise NotebookFailed(said, raised=error.raised) from error
            self.executed = link(settings, _keep(settings, folder, local))
        context["ti"].xcom_push(key="notebook", value=self.executed)
        log.info("%s\nthe executed copy: %s", done.result, self.executed)
        return done.result


def load_new() -> NotebookOperator:
    """Return the task that loads new objects into RAW and updates the asset."""
    return NotebookOperator(
        task_id="load",
        notebook="realtime_load",
        parameters={"publish": False},
        pool=WAREHOUSE_POOL,
        # before waiting symbols of a backfill
        priority_weight=10,
        outlets=[RAW],
    )


def _keep(settings: Any, folder: Any, local: Any) -> str:
    """Move the executed copy into the artifacts' bucket; where that fails, log it and keep the copy here."""
    from stocklib.lake import Artifacts

    address = ""
    for path in sorted(local.glob("*.ipynb")):
        try:
            address = Artifacts(settings).keep(f"runs/{folder.task}/{path.name}", path.read_bytes())
        except LakeError as error:
            log.warning("the executed copy stays at %s: %s", path, error)
            return str(path)
    shutil.rmtree(local, ignore_errors=True)
    return address
