"""docker-compose.yml, the Dockerfiles and the workflows: well formed, pinned, on loopback, without a default secret."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import ROOT, compose, make_env, read_stack, tool

from stocklib.settings import describe

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DEMO = ROOT / "docker" / "demo.env"
# They do one thing before the others start, and end.
ONE_SHOT = {"minio-volume", "airflow-init"}
# Settings that no container has: a replay's are its command line, and a container's loopback is its own.
NOT_PASSED = {"REPLAY_START", "REPLAY_SPEED", "REPLAY_DATA", "METRICS_PORT"}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("stack") / ".env"
    make_env(file)
    return file


@pytest.fixture(scope="module")
def services(env: Path) -> dict[str, Any]:
    """Every service of every profile."""
    found: dict[str, Any] = read_stack(env)["services"]
    return found


def secrets(file: Path) -> dict[str, str]:
    pairs = dict(line.split("=", 1) for line in file.read_text().splitlines())
    return {name: value for name, value in pairs.items() if name != "STACK_UID"}


def test_the_file_keeps_to_the_compose_specification() -> None:
    check = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"]
    said = subprocess.run(check, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


def test_without_secrets_nothing_starts_and_the_error_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    read = compose(tmp_path / ".env")
    assert read.returncode != 0
    assert "run make env" in read.stderr


def test_each_secret_is_required_by_itself(env: Path, tmp_path: Path) -> None:
    lines = env.read_text().splitlines()
    for name in secrets(env):
        (tmp_path / ".env").write_text("\n".join(line for line in lines if not line.startswith(f"{name}=")))
        assert f"required variable {name} is missing a value: run make env" in compose(tmp_path / ".env").stderr


def test_no_secret_has_a_default_and_each_is_used(env: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.findall(r"\$\{\w*(?:PASSWORD|TOKEN|SECRET|KEY)\w*:?-[^$}]", text)
    stack = str(read_stack(env))
    assert [name for name, value in secrets(env).items() if value not in stack] == []


def test_env_is_completed_never_overwritten_and_private(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    # as Notepad saves it
    file.write_text("FINNHUB_API_KEY=mine\nJUPYTER_TOKEN=kept\n", encoding="utf-8-sig")
    make_env(file)
    first = file.read_text()
    assert first.startswith("FINNHUB_API_KEY=mine\nJUPYTER_TOKEN=kept\n")
    assert file.stat().st_mode & 0o777 == 0o600
    said = make_env(file)
    assert file.read_text() == first
    assert "nothing was changed" in said
    said = make_env(file, rotate=["JUPYTER_TOKEN", "KAFKA_UI_PASSWORD"])
    before, after = (dict(line.split("=", 1) for line in text.splitlines()) for text in (first, file.read_text()))
    assert {name for name in after if after[name] != before[name]} == {"JUPYTER_TOKEN", "KAFKA_UI_PASSWORD"}
    assert not [value for value in after.values() if len(value) > 8 and value in said]
    make_env(file, rotate=["AIRFLOW_FERNET_KEY"])
    new, _, old = re.findall("^AIRFLOW_FERNET_KEY=(.*)$", file.read_text(), flags=re.MULTILINE)[0].partition(",")
    assert old == before["AIRFLOW_FERNET_KEY"] != new


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        repository, _, tag = service["image"].rpartition(":")
        assert repository, name
        assert re.search(r"\d+\.\d+\.\d+|\d{2}\.\d+|RELEASE\.|^\d+\.\d+-alpine$", tag), f"{name}: {service['image']}"
    for path in DOCKERFILES:
        for image in re.findall(r"^FROM (\S+)", path.read_text(), flags=re.MULTILINE):
            assert re.search(r":\d+\.\d+\.\d+", image), f"{path.name}: {image}"


def test_every_port_is_bound_to_loopback_and_where_people_expect_it(services: dict[str, Any]) -> None:
    ports = {(name, port["published"]): port for name, service in services.items() for port in service.get("ports", [])}
    assert {port["host_ip"] for port in ports.values()} == {"127.0.0.1"}
    assert {
        ("airflow-apiserver", "8080"),
        ("minio", "9001"),
        ("kafka-ui", "8090"),
        ("jupyter", "8888"),
    } <= set(ports)
    assert len({published for _, published in ports}) == len(ports)


def test_no_container_has_more_rights_than_a_user(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert "docker.sock" not in str(service.get("volumes")), name
    root = {name for name, service in services.items() if re.match(r"0|root|$", str(service.get("user", "")))}
    # the one that hands a volume over, without a network, with the right to do that alone
    assert root == {"minio-volume"}
    assert services["minio-volume"]["cap_add"] == ["CHOWN"]
    assert services["minio-volume"]["network_mode"] == "none"


def test_every_service_says_how_it_is_and_is_started_again(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name in ONE_SHOT:
            assert service["restart"] == "no"
            continue
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"]), name
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"]["max-size"], name


def test_a_service_waits_until_what_it_needs_is_well(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert how["condition"] == wanted, f"{name} on {other}"
    # what a process needs at its start; tasks and cells of notebooks ask for more, later
    needed = {
        "producer": {"kafka", "replay"},
        "consumer": {"kafka", "minio"},
        "loader": {"minio"},
        "kafka-ui": {"kafka"},
        "airflow-scheduler": {"postgres", "airflow-init", "airflow-apiserver", "kafka", "minio"},
    }
    for name, others in needed.items():
        assert others <= set(services[name]["depends_on"]), name


def test_limits_of_everything_that_keeps_running_fit_in_8_gb(services: dict[str, Any]) -> None:
    limits = {
        name: int(service["deploy"]["resources"]["limits"]["memory"])
        for name, service in services.items()
        if name not in ONE_SHOT
    }
    assert sum(limits.values()) <= 8 * 2**30
    assert all(service["deploy"]["resources"]["limits"]["cpus"] for service in services.values())


def test_data_lies_in_named_volumes_and_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    declared = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"])
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    assert {mount["source"] for mount in mounts if mount["type"] == "volume"} == declared
    folders = {Path(mount["source"]): mount for mount in mounts if mount["type"] == "bind"}
    assert {folder.relative_to(ROOT).as_posix() for folder in folders} == {"config", "dags", "notebooks"}


def test_every_setting_reaches_the_containers(services: dict[str, Any], env: Path, tmp_path: Path) -> None:
    names = {name for name, _, _ in describe()} - NOT_PASSED
    passed = set(services["airflow-scheduler"]["environment"])
    assert names - passed == set()
    # one of .env that has no value in the file goes through
    (tmp_path / ".env").write_text(env.read_text() + "POLL_SECONDS=7\n")
    assert read_stack(tmp_path / ".env")["services"]["producer"]["environment"]["POLL_SECONDS"] == "7"


def test_secrets_of_one_service_are_not_told_to_others(services: dict[str, Any], env: Path) -> None:
    known = secrets(env)
    ours = {"producer", "consumer", "loader", "docs", "replay", "jupyter", "kafka-ui", "kafka", "minio"}
    for name in ours:
        text = str(services[name])
        theirs = ("POSTGRES_PASSWORD", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_FERNET_KEY")
        assert not [secret for secret in theirs if known[secret] in text], name
    holders = {name for name, service in services.items() if known["JUPYTER_TOKEN"] in str(service)}
    assert holders == {"jupyter"}


def test_the_demo_is_a_project_of_its_own_and_reaches_no_service_of_yours(env: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        env.read_text()
        + "FINNHUB_API_KEY=live-key\nSTACK_KAFKA_BROKER=kafka.example:9092\nSTACK_S3_ENDPOINT=https://s3.example\n"
        + "STACK_S3_ACCESS_KEY=live-access\nSNOWFLAKE_ACCOUNT=live-account\nKAFKA_SECURITY_PROTOCOL=SASL_SSL\n"
        + "SNOWFLAKE_CONNECTION=live-connection\nPOWERBI_DATASET_ID=live-model\nPOWERBI_CLIENT_SECRET=live-secret\n"
        + "ALERT_SLACK_WEBHOOK=https://live-hook\nALERT_EMAIL_TO=someone@live.example\n"
    )
    live, demo = read_stack(tmp_path / ".env"), read_stack(tmp_path / ".env", DEMO)
    assert (live["name"], demo["name"]) == ("stocks", "stocks-demo")
    assert {volume["name"].split("_")[0] for volume in demo["volumes"].values()} == {"stocks-demo"}
    told = demo["services"]["airflow-scheduler"]["environment"]
    assert told["FINNHUB_BASE_URL"] == "http://replay:8600/api/v1"
    assert told["FINNHUB_API_KEY"] == demo["services"]["replay"]["environment"]["STOCKS_REPLAY_KEY"]
    assert (told["KAFKA_BROKER"], told["MINIO_ENDPOINT"]) == ("kafka:19092", "http://minio:9000")
    assert not re.search(r"live-|\.example|SASL_SSL", str(demo))
    assert "kafka.example:9092" in str(live)
    # make takes these names out of the shell's environment, which would win over the file
    said = subprocess.run(
        ["make", "--dry-run", "ps", "PROFILES=demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--env-file docker/demo.env" in said.stdout
    assert "env $(sed" in said.stdout


def test_a_kafka_and_an_s3_elsewhere_are_settings(env: Path, tmp_path: Path) -> None:
    theirs = {
        "STACK_KAFKA_BROKER": "kafka.example:9093",
        "STACK_S3_ENDPOINT": "https://s3.example",
        "STACK_S3_ACCESS_KEY": "their-key",
        "STACK_S3_SECRET_KEY": "their-secret",
    }
    (tmp_path / ".env").write_text(env.read_text() + "".join(f"{name}={value}\n" for name, value in theirs.items()))
    told = read_stack(tmp_path / ".env")["services"]["consumer"]["environment"]
    names = ("KAFKA_BROKER", "MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
    assert [told[name] for name in names] == list(theirs.values())


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_a_dockerfile_has_no_fault_that_hadolint_knows(path: Path) -> None:
    said = subprocess.run([tool("hadolint"), path], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


def test_the_smoke_test_is_skipped_with_a_reason_where_there_is_no_docker(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, ROOT / "tools" / "smoke.py"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert "skipped: no Docker engine answers here (`docker info`: " in said.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_locked_multi_stage_and_ends_as_a_user(path: Path) -> None:
    text = path.read_text()
    assert "uv sync --locked" in text
    assert len(re.findall("^FROM ", text, flags=re.MULTILINE)) == 3
    assert re.findall(r"^USER (\S+)", text, flags=re.MULTILINE)[-1] == "1000:0"
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", text, flags=re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in sources:
        assert list(ROOT.glob(source)) or source == "dags", source
        assert source in let_in or (source.startswith("docker/") and "docker/*.py" in let_in), source
    assert not [name for name in let_in if ".env" in name]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_well_formed_and_its_actions_are_pinned(path: Path) -> None:
    check = [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", path]
    said = subprocess.run(check, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout
    text = path.read_text()
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    assert all(re.search(r"@v\d+\.\d+\.\d+$", action) for action in uses)
    # what a fork's pull request runs may read the code, and no more
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
