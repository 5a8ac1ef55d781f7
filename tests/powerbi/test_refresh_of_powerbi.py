"""A refresh of the published model, against a small server that speaks Power BI's REST API and Microsoft's sign-in."""

import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from misbehaving import Asked, Reply, serving

from stocklib.errors import PowerBIError, SettingsError
from stocklib.settings import Settings, read_settings
from workbench.powerbi.refresh import is_configured, refresh

SECRET = "the-secret-of-the-principal"
REFRESHES = "/v1.0/myorg/groups/group/datasets/model/refreshes"
RUN = "7f6d-run"


def settings(url: str, **more: str) -> Settings:
    return read_settings(
        environ={
            "POWERBI_TENANT_ID": "tenant",
            "POWERBI_CLIENT_ID": "client",
            "POWERBI_CLIENT_SECRET": SECRET,
            "POWERBI_WORKSPACE_ID": "group",
            "POWERBI_DATASET_ID": "model",
            "POWERBI_LOGIN_URL": url,
            "POWERBI_API_URL": f"{url}/v1.0/myorg",
            "STOCKS_HOME": "/nowhere",
            **more,
        }
    )


def service(*states: dict[str, str], start: Reply | None = None) -> Callable[[Asked], Reply]:
    """Power BI: a token, a refresh that is accepted, and its states one after the other."""
    left = list(states)

    def answer(asked: Asked) -> Reply:
        if asked.path == "/tenant/oauth2/v2.0/token":
            assert parse_qs(asked.body.decode())["client_secret"] == [SECRET]
            return Reply({"access_token": "a-token", "expires_in": 3599})
        assert asked.headers["authorization"] == "Bearer a-token"
        assert asked.path == REFRESHES
        if asked.method == "POST":
            return start or Reply(b"", status=202, headers={"x-ms-request-id": RUN})
        other = {"requestId": "an-older-one", "status": "Failed"}
        return Reply({"value": [other, {"requestId": RUN, **(left.pop(0) if len(left) > 1 else left[0])}]})

    return answer


def test_a_refresh_is_asked_for_once_and_waited_for() -> None:
    waited: list[float] = []
    done = {"status": "Completed", "startTime": "10:00", "endTime": "10:02"}
    with serving(service({"status": "Unknown"}, {"status": "Unknown"}, done)) as server:
        said = refresh(settings(server.url), every=7, pause=waited.append)
        assert "10:00 to 10:02" in said
        assert waited == [7, 7]
        posted = [asked for asked in server.asked if asked.method == "POST" and asked.path == REFRESHES]
        assert [json.loads(asked.body) for asked in posted] == [{"notifyOption": "NoNotification"}]


def test_a_failed_refresh_says_why() -> None:
    why = json.dumps({"errorCode": "ModelRefreshFailed", "errorDescription": "the credentials of Snowflake expired"})
    with (
        serving(service({"status": "Failed", "serviceExceptionJson": why})) as server,
        pytest.raises(PowerBIError, match="ended as Failed: the credentials of Snowflake expired"),
    ):
        refresh(settings(server.url))


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (401, {}, r"\(401\): the sign-in was refused: check POWERBI_TENANT_ID"),
        (403, {}, r"\(403\): the service principal may not.*member of the workspace"),
        (404, {}, r"\(404\).*POWERBI_DATASET_ID"),
        (429, {"Retry-After": "55"}, r"\(429\): too many requests.*try again in 55 s"),
        (500, {}, r"\(500\)"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, headers: dict[str, str], said: str) -> None:
    refusal = Reply({"error": {"code": "Nope", "message": "not today"}}, status=status, headers=headers)
    with serving(service({"status": "Unknown"}, start=refusal)) as server:
        with pytest.raises(PowerBIError, match=said) as caught:
            refresh(settings(server.url))
        assert "not today" in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_question_that_is_not_answered_is_asked_again() -> None:
    busy = [Reply(b"", status=503), Reply({}, status=429, headers={"Retry-After": "1"})]
    speaks = service({"status": "Completed"})

    def now_and_then(asked: Asked) -> Reply:
        return busy.pop() if busy and asked.method == "GET" else speaks(asked)

    with serving(now_and_then) as server:
        assert "refreshed the model" in refresh(settings(server.url), every=0)
        # what was asked for is not asked for again
        assert [asked.method for asked in server.asked if asked.path == REFRESHES] == ["POST", "GET", "GET", "GET"]


def test_a_service_that_does_not_answer_any_more_is_given_up() -> None:
    speaks = service({"status": "Unknown"})
    with serving(lambda asked: Reply(b"", status=503) if asked.method == "GET" else speaks(asked)) as server:
        with pytest.raises(PowerBIError, match=r"the state of the refresh \(503\)"):
            refresh(settings(server.url), every=0)
        assert sum(asked.method == "GET" for asked in server.asked) == 4


def test_a_refused_sign_in_shows_no_secret() -> None:
    body = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided.\nTrace: 1"}
    with serving(Reply(body, status=401)) as server:
        with pytest.raises(PowerBIError, match=r"the sign-in \(401\).*AADSTS7000215: Invalid client secret") as caught:
            refresh(settings(server.url))
        assert SECRET not in str(caught.value)


def test_a_refresh_that_never_ends_is_given_up() -> None:
    with (
        serving(service({"status": "Unknown"})) as server,
        pytest.raises(PowerBIError, match="not done after 1 s"),
    ):
        refresh(settings(server.url), every=0, patience=1)


def test_a_service_that_is_away_is_named() -> None:
    with pytest.raises(PowerBIError, match="out of reach for the sign-in"):
        refresh(settings("http://127.0.0.1:1"))


def test_what_is_not_set_is_named_and_nothing_set_means_no_refresh() -> None:
    assert not is_configured(read_settings(environ={"STOCKS_HOME": "/nowhere"}))
    half = settings("http://127.0.0.1:1", POWERBI_DATASET_ID="")
    assert is_configured(half)
    with pytest.raises(SettingsError, match="POWERBI_DATASET_ID"):
        refresh(half)
