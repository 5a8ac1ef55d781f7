"""Ask Power BI's service to refresh the published model, and wait until it has: its REST API, as a service principal.

Three calls: a token from Microsoft's sign-in, the refresh, and how it went. The secret and the token appear in no
message. Source: Power BI REST API, Datasets - Refresh Dataset In Group.
"""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import tenacity

from stocklib.errors import PowerBIError
from stocklib.settings import Settings

_SCOPE = "https://analysis.windows.net/powerbi/api/.default"
_TIMEOUT = 30.0
# A refresh goes on while one question after it is not answered; so many in a row are too many.
_QUESTIONS = 4
_NEEDED = (
    "POWERBI_TENANT_ID",
    "POWERBI_CLIENT_ID",
    "POWERBI_CLIENT_SECRET",
    "POWERBI_WORKSPACE_ID",
    "POWERBI_DATASET_ID",
)
_HINTS = {
    400: "another refresh is under way, or POWERBI_WORKSPACE_ID or POWERBI_DATASET_ID is not an id",
    401: "the sign-in was refused: check POWERBI_TENANT_ID, POWERBI_CLIENT_ID and POWERBI_CLIENT_SECRET",
    403: "the service principal may not: let it use Power BI's APIs (tenant settings) and make it a member of the "
    "workspace",
    404: "there is no such model: check POWERBI_WORKSPACE_ID and POWERBI_DATASET_ID",
    429: "too many requests, or the day's refreshes are used up (8 with Pro, 48 with Premium)",
}


def is_configured(settings: Settings) -> bool:
    """Whether anything says which model to refresh."""
    return any(settings.values[name] for name in _NEEDED)


def refresh(
    settings: Settings,
    *,
    every: float = 15.0,
    patience: float = 3600.0,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Refresh the model and wait until it is done, asking ``every`` so many seconds; a sentence that says so.

    Raises ``PowerBIError`` when Power BI refuses, fails, or needs longer than ``patience`` seconds.
    """
    for name in _NEEDED:
        settings.require(name)
    headers = {"Authorization": f"Bearer {_token(settings)}", "Content-Type": "application/json"}
    group, model = (quote(settings.values[name], safe="") for name in _NEEDED[-2:])
    address = f"{settings.powerbi_api_url}/groups/{group}/datasets/{model}/refreshes"
    _, answered = _call("the refresh", address, headers, json.dumps({"notifyOption": "NoNotification"}).encode())
    started = answered.get("x-ms-request-id", "")
    deadline = time.monotonic() + patience
    ask = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passes),
        stop=tenacity.stop_after_attempt(_QUESTIONS),
        wait=tenacity.wait_fixed(every),
        sleep=pause,
        reraise=True,
    )
    while time.monotonic() < deadline:
        body, _ = ask(_call, "the state of the refresh", f"{address}?{urlencode({'$top': 10})}", headers)
        mine: dict[str, str] = next(
            (r for r in body.get("value", []) if not started or r.get("requestId") == started), {}
        )
        # what is under way has the status Unknown
        if mine.get("status") == "Completed":
            return f"Power BI refreshed the model ({mine.get('startTime', '?')} to {mine.get('endTime', '?')})"
        if mine.get("status") in ("Failed", "Disabled", "Cancelled"):
            why = _reason(mine.get("serviceExceptionJson", "")) or "it gives no reason"
            raise PowerBIError(
                f"the refresh ended as {mine['status']}: {why}. The model's refresh history in the workspace has more"
            )
        pause(every)
    raise PowerBIError(f"the refresh was not done after {patience:.0f} s; look at its history in the workspace")


def _token(settings: Settings) -> str:
    tenant = quote(settings.powerbi_tenant_id, safe="")
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.powerbi_client_id,
        "client_secret": settings.powerbi_client_secret.reveal(),
        "scope": _SCOPE,
    }
    address = f"{settings.powerbi_login_url}/{tenant}/oauth2/v2.0/token"
    body, _ = _call("the sign-in", address, {}, urlencode(form).encode())
    if not body.get("access_token"):
        raise PowerBIError("the sign-in answered without a token: check POWERBI_LOGIN_URL")
    return str(body["access_token"])


def _call(
    what: str, address: str, headers: dict[str, str], data: bytes | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The JSON that is answered, empty where there is none, and the answer's headers in lower case."""
    # settings take nothing but http and https
    request = Request(address, data=data, headers=headers)  # noqa: S310
    try:
        with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            body = answer.read()
            return (json.loads(body) if body.strip() else {}), {k.lower(): v for k, v in answer.headers.items()}
    except HTTPError as error:
        raise PowerBIError(_refusal(what, error)) from error
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise PowerBIError(
            f"Power BI is out of reach for {what}: {reason}; check the network and POWERBI_LOGIN_URL, POWERBI_API_URL"
        ) from error
    except ValueError as error:
        raise PowerBIError(f"Power BI answered {what} with something that is not JSON") from error


def _passes(error: BaseException) -> bool:
    """Whether asking again may be answered: the network, a busy service."""
    cause = error.__cause__
    if isinstance(cause, HTTPError):
        return cause.code == HTTPStatus.TOO_MANY_REQUESTS or cause.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(cause, (URLError, TimeoutError, ConnectionError))


def _refusal(what: str, error: HTTPError) -> str:
    hint = _HINTS.get(error.code, "try again, and look at Power BI's status page")
    after = error.headers.get("Retry-After", "")
    again = f"; try again in {after} s" if after else ""
    why = _reason(error.read().decode("utf-8", errors="replace"))
    return f"Power BI refused {what} ({error.code}): {hint}{again}" + (f" [{why}]" if why else "")


def _reason(text: str) -> str:
    """What an answer's error says: its code, or its description's first line."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    error = found.get("error", found)
    said = (
        error.get("message") or error.get("code") if isinstance(error, dict) else found.get("error_description", error)
    )
    said = said or found.get("errorDescription") or found.get("errorCode") or ""
    return str(said).strip().split("\n")[0][:200]
