"""Alerts: one message when a task has finally failed, one when it works again, by Slack and by mail.

A missed schedule, stale data and an unbalanced ledger are alerts too, since each is a failed task. An incident is open
from the first message until the task succeeds, in Airflow's Variables. Where neither ``ALERT_SLACK_WEBHOOK`` nor
``ALERT_EMAIL_TO`` is set no message is sent. A message holds the error's text, the links to the executed notebook and
to the log, and no secret.
"""

import html
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Variable

from stocklib.host import environment
from stocklib.logs import hide_secrets
from stocklib.settings import Settings
from workbench.airflow.environment import task_settings

log = logging.getLogger(__name__)

_MOST = 1500


def failed(context: Any) -> None:
    """Alert that a task has failed and is not tried again."""
    with task_settings() as settings:
        if not _is_configured(settings):
            return
        name = _name(context["ti"])
        if _variable(name) is not None:
            log.info("%s: the incident is already open", name)
            return
        if _send(settings, f"FAILED {name}", _describe(settings, context), context):
            said = {"since": datetime.now(UTC).isoformat(timespec="seconds"), "run": context["dag_run"].run_id}
            _set_variable(name, json.dumps(said))


def succeeded(context: Any) -> None:
    """Close the incidents of a task that succeeded, and of mapped tasks that it waited for."""
    if context["ti"].map_index not in (None, -1):
        return  # one mapped task tells nothing about the others
    with task_settings() as settings:
        if not _is_configured(settings):
            return
        for name in _closed_by(context):
            known = _variable(name)
            if known is None:
                continue
            since = json.loads(known)["since"]
            text = f"It works again; it had failed since {since}.\nrun: {context['dag_run'].run_id}"
            if _send(settings, f"RECOVERED {name}", text, context):
                Variable.delete(_key(name))


def scrub(settings: Settings, text: str) -> str:
    """Return a text without any secret of the settings, and without what looks like one."""
    return hide_secrets(text, settings.secrets())


def _describe(settings: Settings, context: Any) -> str:
    """Return the error's text, then the links."""
    task = context["ti"]
    error = context.get("exception")
    words = scrub(settings, f"{error}" or repr(error))
    lines = [words if len(words) <= _MOST else words[:_MOST] + " …", f"run: {context['dag_run'].run_id}"]
    notebook = getattr(context["task"], "executed", "") or getattr(task.task, "executed", "")
    lines += [f"executed notebook: {notebook}"] if notebook and notebook not in words else []
    return "\n".join([*lines, f"log: {task.log_url}"])


def _closed_by(context: Any) -> Iterator[str]:
    task = context["ti"]
    yield _name(task)
    for before in context["task"].get_direct_relatives(upstream=True):
        if getattr(before, "is_mapped", False):
            yield f"{task.dag_id}.{before.task_id}"


def _name(task: Any) -> str:
    return f"{task.dag_id}.{task.task_id}"


def _is_configured(settings: Settings) -> bool:
    return bool(settings.alert_slack_webhook or (settings.alert_email_to and settings.smtp_host))


def _send(settings: Settings, title: str, text: str, context: Any) -> bool:
    """Send a message by every configured way; return whether one succeeded."""
    sent = False
    for way in (_slack, _mail):
        try:
            sent = way(settings, title, text, context) or sent
        # any error of a server or a library: the task's own state must not depend on it
        except Exception as error:  # noqa: BLE001
            log.error("an alert was not sent by %s: %s", way.__name__[1:], scrub(settings, str(error)))
    return sent


def _slack(settings: Settings, title: str, text: str, context: Any) -> bool:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    if not settings.alert_slack_webhook:
        return False
    connection = {"conn_type": "slackwebhook", "password": settings.alert_slack_webhook.reveal()}
    # a notifier renders its text as a template, which an error's text is not
    with environment({"AIRFLOW_CONN_STOCKS_ALERTS_SLACK": json.dumps(connection)}):
        escaped = html.escape(text, quote=False)
        SlackWebhookNotifier(
            slack_webhook_conn_id="stocks_alerts_slack", text=f"*{title}*\n{escaped}", timeout=15
        ).notify(context)
    return True


def _mail(settings: Settings, title: str, text: str, context: Any) -> bool:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    if not (settings.alert_email_to and settings.smtp_host):
        return False
    sender = settings.require("ALERT_EMAIL_FROM")
    secure = settings.smtp_security
    connection = {
        "conn_type": "smtp",
        "host": settings.smtp_host,
        "port": settings.smtp_port,
        "login": settings.smtp_user,
        "password": settings.smtp_password.reveal(),
        "extra": {
            "from_email": sender,
            "disable_ssl": secure != "ssl",
            "disable_tls": secure != "starttls",
            "timeout": 15,
            "retry_limit": 1,
        },
    }
    with environment({"AIRFLOW_CONN_STOCKS_ALERTS_SMTP": json.dumps(connection)}):
        SmtpNotifier(
            smtp_conn_id="stocks_alerts_smtp",
            to=[part.strip() for part in settings.alert_email_to.split(",") if part.strip()],
            from_email=sender,
            subject=title,
            html_content=f"<pre>{html.escape(text)}</pre>",
        ).notify(context)
    return True


def _variable(name: str) -> str | None:
    found = Variable.get(_key(name), default=None)
    return None if found is None else str(found)


def _set_variable(name: str, value: str) -> None:
    Variable.set(_key(name), value, description="an alert was sent; the recovery is not yet")


def _key(name: str) -> str:
    return f"stocks_incident_{name}"
