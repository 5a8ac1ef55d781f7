"""The command line: every verb explains itself, and whatever goes wrong is a sentence, not a traceback."""

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from mirrors import ROOT

from stocklib.host import explained
from stocklib.settings import Settings
from workbench.cli import main
from workbench.cli.base import SECTIONS, print_table, progress

STOCKS = Path(sys.executable).parent / "stocks"


def run(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STOCKS, *arguments], env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )


def test_the_help_has_every_verb_once_with_its_whole_sentence() -> None:
    told = CliRunner().invoke(main, ["--help"], terminal_width=100).output
    verbs = [name for names in SECTIONS.values() for name in names]
    assert sorted(verbs) == sorted(main.commands)
    shown = " ".join(told.split())
    for name in verbs:
        sentence = " ".join((main.commands[name].help or "").partition("\n\n")[0].split())
        assert f" {name} {sentence}" in shown
    assert "..." not in told.partition("\n\nBegin:")[2]
    for name in ("symbols", "dlq"):
        shown = " ".join(CliRunner().invoke(main, [name, "--help"], terminal_width=100).output.split())
        for verb, command in main.commands[name].commands.items():
            assert f" {verb} {' '.join(command.help.partition(chr(10) * 2)[0].split())}" in shown


def test_every_verb_has_help() -> None:
    for verb in main.commands:
        if verb not in ("replay", "dbt"):
            told = CliRunner().invoke(main, [verb, "--help"])
            assert told.exit_code == 0, verb
            assert "Usage:" in told.output
    assert {"demo", "up", "produce", "consume", "load", "transform", "rebuild", "export", "query"} <= set(main.commands)


def test_help_works_where_the_settings_are_broken(tmp_path: Path) -> None:
    told = CliRunner(env={"KAFKA_PARTITIONS": "many"}).invoke(main, ["produce", "--help"])
    assert told.exit_code == 0


def test_a_malformed_setting_is_a_sentence(tmp_path: Path) -> None:
    told = run("status", environ={"STOCKS_HOME": str(tmp_path), "KAFKA_PARTITIONS": "many"})
    assert told.returncode == 1
    assert told.stderr.startswith("Error: KAFKA_PARTITIONS='many' (from the environment) is not valid")
    assert "Traceback" not in told.stderr


def test_settings_masks_every_secret(tmp_path: Path) -> None:
    told = run("settings", environ={"STOCKS_HOME": str(tmp_path), "FINNHUB_API_KEY": "s3cr3tvalue"})
    assert told.returncode == 0
    assert "s3cr3tvalue" not in told.stdout + told.stderr
    assert "***" in told.stdout


def test_a_wrong_command_line_is_status_two() -> None:
    assert run("run", "daily_load", "-p", "day").returncode == 2
    assert run("fly").returncode == 2


def test_the_doctor_names_each_system_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{unused.getsockname()[1]}"
        environ = {
            "STOCKS_HOME": str(tmp_path),
            "KAFKA_BROKER": nobody,
            "MINIO_ENDPOINT": f"http://{nobody}",
            "MINIO_ACCESS_KEY": "a",
            "MINIO_SECRET_KEY": "s3cr3tvalue",
            "FINNHUB_BASE_URL": f"http://{nobody}/api/v1",
            "FINNHUB_API_KEY": "s3cr3tvalue",
        }
        told = run("doctor", environ=environ)
    assert told.returncode == 1
    failed = {line.split()[1]: line for line in told.stdout.splitlines() if line.startswith("FAIL")}
    assert set(failed) == {"source", "kafka", "s3"}
    assert "KAFKA_BROKER" in failed["kafka"]
    assert "MINIO_ENDPOINT" in failed["s3"]
    assert "s3cr3tvalue" not in told.stdout + told.stderr


def test_the_doctor_asks_for_a_missing_key(tmp_path: Path) -> None:
    told = run("doctor", environ={"STOCKS_HOME": str(tmp_path)})
    assert "FINNHUB_API_KEY is not set: put it into .env" in told.stdout


def test_the_doctor_of_a_fresh_clone_says_how_to_start_the_stack(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "config", project / "config")
    monkeypatch.chdir(project)
    told = CliRunner().invoke(main, ["doctor"])
    assert told.exit_code == 1
    failed = [line.split(maxsplit=2)[1:] for line in told.stdout.splitlines() if line.startswith("FAIL")]
    assert failed == [[system, "the embedded stack is not started: stocks up"] for system in ("source", "kafka", "s3")]
    # a name that is misspelt is why this is the demo's home, and not the user's own
    (project / ".env").write_text("FINHUB_API_KEY=s3cr3tvalue\n")
    told = CliRunner().invoke(main, ["doctor"])
    assert "line 1: FINHUB_API_KEY is not a setting. Did you mean FINNHUB_API_KEY?" in told.stdout
    assert "s3cr3tvalue" not in told.output


def test_progress_without_a_terminal_is_a_line_now_and_then_with_the_time_that_remains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = iter([0.0, 5.0, 20.0, 25.0, 31.0, 40.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(at))
    with progress("symbols") as advance:
        advance(1, 40, "AAPL")
        advance(10, 40, "IBM")
        advance(11, 40, "KO")
        advance(1_000, None)
        advance(20, 40, "MSFT")
    assert capsys.readouterr().err.splitlines() == [
        "10 of 40 symbols, about 0:01:00 left",
        "20 of 40 symbols, about 0:00:40 left",
    ]


# no name below .invalid exists (RFC 2606)
NOWHERE = {
    "FINNHUB_BASE_URL": "https://finnhub.invalid/api/v1",
    "FINNHUB_API_KEY": "k",
    "KAFKA_BROKER": "kafka.invalid:9092",
    "MINIO_ENDPOINT": "http://s3.invalid:9000",
    "MINIO_ACCESS_KEY": "a",
    "MINIO_SECRET_KEY": "b",
    "SNOWFLAKE_ACCOUNT": "account.invalid",
    "SNOWFLAKE_USER": "me",
    "SNOWFLAKE_PASSWORD": "p",
}


def test_a_machine_without_a_network_is_asked_whether_it_is_online(tmp_path: Path) -> None:
    told = run("doctor", environ={"STOCKS_HOME": str(tmp_path), **NOWHERE})
    asked = [line for line in told.stdout.splitlines() if line.endswith("was not found: are you online?")]
    assert [line.split()[1] for line in asked] == ["source", "kafka", "s3", "warehouse"]
    for line, name in zip(asked, ("finnhub.invalid", "kafka.invalid", "s3.invalid", "account.invalid"), strict=True):
        assert name in line
    assert "Traceback" not in told.stderr
    one = run("query", "select 1", environ={"STOCKS_HOME": str(tmp_path), **NOWHERE})
    assert one.stderr.splitlines()[-1].startswith("Error: Snowflake is out of reach at account account.invalid")
    assert one.stderr.rstrip().endswith("The name of the server was not found: are you online?")


def test_a_name_that_yfinance_cannot_look_up_is_explained_too() -> None:
    from curl_cffi import requests

    with pytest.raises(requests.exceptions.RequestException) as caught:
        requests.get("https://yahoo.invalid")
    assert explained(caught.value).endswith("are you online?")


def test_query_before_anything_is_published_says_what_to_do(tmp_path: Path) -> None:
    told = run("query", "select 1", environ={"STOCKS_HOME": str(tmp_path)})
    assert told.returncode == 1
    assert "stocks transform" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_warehouse_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    told = run("transform", environ={"STOCKS_HOME": str(tmp_path / "home")})
    assert told.returncode == 1
    assert "STOCKS_HOME" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_working_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    told = subprocess.run(
        ["/bin/sh", "-c", f'cd "{folder}" && rmdir "{folder}" && exec "{STOCKS}" status'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert (
        told.stderr == "Error: the working folder was deleted: change to the project's folder (cd) and run it again\n"
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "umask says what new folders allow"),
        (errno.EROFS, "set STOCKS_HOME"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_what_the_machine_refuses_is_a_sentence(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise OSError(number, os.strerror(number), "kept/file")

    monkeypatch.setattr("workbench.cli.base.read_settings", refuse)
    told = CliRunner().invoke(main, ["up"])
    assert told.exit_code == 1
    assert told.output.startswith(f"Error: kept/file cannot be used ({os.strerror(number)}): ")
    assert said in told.output
    assert told.output.count("\n") == 1


def test_a_defect_is_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**given: object) -> None:
        raise OSError("not of this machine")

    monkeypatch.setattr("workbench.cli.base.read_settings", fail)
    assert isinstance(CliRunner().invoke(main, ["up"]).exception, OSError)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not write")
def test_a_umask_that_allows_nothing_is_a_sentence() -> None:
    with tempfile.TemporaryDirectory(prefix="stocks-") as folder:
        Path(folder).chmod(0o777)
        told = subprocess.run(
            [sys.executable, "-c", TRY_TO_LOCK],
            env={**os.environ, "STOCKS_HOME": f"{folder}/home"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "cannot" in told.stderr
    assert folder in told.stderr


# the imports first: the user that runs it then may not read this checkout
TRY_TO_LOCK = (
    "import os, sys, workbench.cli, workbench.embedded; sys.argv[1:] = ['up'];"
    "os.umask(0o777); os.setuid(65534); workbench.cli.main()"
)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_the_script_that_completes(shell: str) -> None:
    named = f"_STOCKS_COMPLETE={shell}_source stocks > "
    assert named in (ROOT / "README.md").read_text(encoding="utf-8")
    done = run(environ={"_STOCKS_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0, done.stderr
    assert f"_STOCKS_COMPLETE={shell}_complete" in done.stdout


def test_a_tab_in_bash_completes_a_verb_and_an_option(tmp_path: Path) -> None:
    script = tmp_path / "complete.bash"
    script.write_text(run(environ={"_STOCKS_COMPLETE": "bash_source"}).stdout)
    typed = "_stocks_completion stocks; echo ${COMPREPLY[@]}"
    environ = {**os.environ, "PATH": f"{STOCKS.parent}:{os.environ['PATH']}"}
    for words, offered in (("tab", "tables"), ("export --form", "--format")):
        so_far = f"COMP_WORDS=(stocks {words}); COMP_CWORD={len(words.split())}"
        command = ["bash", "-c", f". '{script}'; {so_far}; {typed}"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [offered]


def test_the_tables_are_listed_with_what_they_hold(gold: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))
    listed = CliRunner().invoke(main, ["tables"]).output.splitlines()
    (row,) = [line.split(maxsplit=3) for line in listed if line.strip().startswith("gold.dim_time ")]
    assert row[:3] == ["gold.dim_time", "gold", "1,440"]
    assert row[3].strip() == "The minutes of a New York day. One row per minute of the day."
    tables = {row["table"]: row for row in json.loads(CliRunner().invoke(main, ["tables", "--json"]).output)}
    assert {"gold.gold_kpi", "silver.dim_stock_symbols", "ops.ledger", "bronze.stg_stock_quotes_raw"} <= set(tables)
    assert tables["gold.gold_kpi"]["rows"] == 5


def test_a_table_is_shown_with_the_meaning_of_its_columns(gold: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))
    shown = CliRunner().invoke(main, ["tables", "gold_kpi"]).output
    assert shown.startswith("gold.gold_kpi, 5 rows: The latest price of each symbol")
    told = json.loads(CliRunner().invoke(main, ["tables", "GOLD_KPI", "--json"]).output)
    assert told["columns"][3] == {
        "column": "change_percent",
        "type": "DECIMAL(36,6)",
        "unit": "percent",
        "meaning": "The price's change since the previous close, in percent.",
    }
    wrong = CliRunner().invoke(main, ["tables", "gold_kpo"])
    assert (wrong.exit_code, wrong.output.strip()) == (
        1,
        "Error: there is no published table 'gold_kpo'; `stocks tables` lists them. Did you mean gold_kpi?",
    )


def test_a_question_without_words_is_a_wrong_command_line(tmp_path: Path) -> None:
    assert run("query", " ; ", environ={"STOCKS_HOME": str(tmp_path)}).returncode == 2


def test_text_in_brackets_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(pd.DataFrame({"[bold]": ["[red]AAPL", "[/x]"]}))
    printed = capsys.readouterr().out
    assert "[red]AAPL" in printed
    assert "[/x]" in printed
    assert "[bold]" in printed


def test_a_demo_that_is_terminated_stops_its_servers(tmp_path: Path) -> None:
    environ = {**os.environ, "STOCKS_DEMO_HOME": str(tmp_path / "demo")}
    process = subprocess.Popen([STOCKS, "demo"], env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert any("Kafka: answers" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(timeout=60) == 130
        told = run("--demo", "status", environ={"STOCKS_DEMO_HOME": str(tmp_path / "demo")})
        assert [line.split()[1] for line in told.stdout.splitlines()] == ["down", "down", "down"]
    finally:
        run("--demo", "down", environ={"STOCKS_DEMO_HOME": str(tmp_path / "demo")})


def test_a_verb_that_waits_ends_cleanly_when_asked_to(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        [STOCKS, "replay", "--port", str(port)],
        env={**os.environ, "STOCKS_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "replaying" in process.stdout.readline()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("verb", ["load", "consume"])
def test_a_service_that_is_down_is_a_sentence(tmp_path: Path, verb: str) -> None:
    environ = {
        "STOCKS_HOME": str(tmp_path),
        "KAFKA_BROKER": "127.0.0.1:1",
        "MINIO_ENDPOINT": "http://127.0.0.1:1",
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
        "FINNHUB_BASE_URL": "http://127.0.0.1:1/api/v1",
        "FINNHUB_API_KEY": "k",
    }
    told = run(verb, environ=environ)
    assert told.returncode == 1
    assert "Error: " in told.stderr
    assert "Traceback" not in told.stderr


def test_a_line_of_the_log_is_above_the_progress_bar_and_not_in_it() -> None:
    code = (
        "import logging, sys, time\nfrom stocklib.logs import write_log\nfrom workbench.cli.base import progress\n"
        "write_log(sys.stderr, level='INFO')\nlog = logging.getLogger('a')\n"
        "with progress('symbols') as advance:\n    advance(1, 3, 'AAPL')\n    time.sleep(0.5)\n    log.info('within')\n"
        "log.info('after')\n"
    )
    terminal, other = os.openpty()
    subprocess.run([sys.executable, "-c", code], stdout=other, stderr=other, check=True)
    os.close(other)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(terminal, 100_000).decode())
    os.close(terminal)
    assert "1/3 symbols" in shown.partition("within")[0]
    lines = re.split(r"[\r\n]+", shown)
    for text in ("within", "after"):
        (line,) = [line for line in lines if line.rstrip().endswith(text)]
        assert re.match(r"\d{4}-\d\d-\d\d .* INFO +a: ", line)
