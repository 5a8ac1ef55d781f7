"""What a process logs holds no credential, from any writer: our code, a library at DEBUG, a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from stocklib.errors import LakeError
from stocklib.lake import Lake
from stocklib.logs import hide_secrets
from stocklib.settings import read_settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "text",
    [
        "refused the-key-of-mine by the server",
        "GET https://finnhub.io/quote?token=other-secret&symbol=AAPL",
        'http://127.0.0.1:9 "GET /api/v1/quote?symbol=AAPL&token=other-secret HTTP/1.1" 200 None',
        "wss://ws.finnhub.io?token=other-secret",
        "postgresql://me:other-secret@db:5432/airflow",
        "https://other-secret@host/x",
        "password = other-secret",
        "password = 'other-secret'",
        "passphrase=other-secret is wrong",
        "Authorization: Bearer other-secret",
        "https://s3/b/k?X-Amz-Credential=other-secret%2F1&X-Amz-Signature=other-secret&X-Amz-Security-Token=other-secret",
        "https://a.blob.core.windows.net/stage/f?sv=2024&sig=other-secret&se=2026",
        "https://query1.finance.yahoo.com/v7/quote?symbols=A&crumb=other-secret",
        "POST /oauth?client_secret=other-secret&code=other-secret",
        # the webhook by its path, as urllib3 writes it
        'https://hooks.example:443 "POST /services/T0/B0/hook-secret HTTP/1.1" 200 2',
        "a%20key%2Fwith%20spaces",
    ],
)
def test_no_secret_is_told(text: str) -> None:
    environ = {
        "FINNHUB_API_KEY": "the-key-of-mine",
        "SMTP_PASSWORD": "a key/with spaces",
        "ALERT_SLACK_WEBHOOK": "https://hooks.example/services/T0/B0/hook-secret",
    }
    told = hide_secrets(text, read_settings(environ=environ).secrets())
    assert "***" in told
    assert "secret" not in told.replace("client_secret", "").replace("Secret", "")
    assert "the-key-of-mine" not in told
    assert "spaces" not in told


def test_what_is_no_secret_is_told() -> None:
    said = "GET https://finnhub.io/quote?symbol=AAPL&resolution=D for the company: many candles, 3 a minute"
    assert hide_secrets(said) == said
    # a replay may take any key
    assert hide_secrets(said, ["any", "a"]) == said.replace(" a ", " *** ")
    assert hide_secrets("asked with any: refused", ["any"]) == "asked with ***: refused"
    # one that begins or ends with no letter
    assert hide_secrets("cannot use p@ss! as passphrase", ["p@ss!"]) == "cannot use *** as passphrase"


PROGRAM = """
import http.server, logging, sys, threading
import requests, websocket
from stocklib.logs import write_log

class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *given): pass

write_log(sys.stderr, level="DEBUG", secrets=["the-key-of-mine"])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
at = f"127.0.0.1:{server.server_port}"
requests.get(f"http://me:other-secret@{at}/quote?symbol=AAPL&token=other-secret", timeout=5)
requests.get(f"http://{at}/the-key-of-mine?sig=other-secret", timeout=5)
for url in (f"ws://{at}/?token=other-secret", "ws://127.0.0.1:1/?token=the-key-of-mine"):
    try:
        websocket.create_connection(url, timeout=5)
    except Exception:
        logging.exception("not connected to %s", url)
server.shutdown()
"""


def test_at_debug_neither_libraries_nor_tracebacks_tell_a_credential_of_an_address() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    logged = done.stdout + done.stderr
    assert "/quote?symbol=AAPL&token=***" in logged
    assert "Traceback" in logged
    assert "other-secret" not in logged
    assert "the-key-of-mine" not in logged


def test_an_errors_sentence_holds_no_password_of_the_address() -> None:
    settings = read_settings(
        environ={"MINIO_ENDPOINT": "http://me:s3c@ret@127.0.0.1:9", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}
    )
    with pytest.raises(LakeError, match="does not answer") as raised:
        Lake(settings).ensure_bucket()
    assert "s3c" not in str(raised.value)
    assert "ret@" not in str(raised.value)
    assert hide_secrets("AWS4-HMAC-SHA256 Credential=AKIA1/20261127/s3, x") == "AWS4-HMAC-SHA256 Credential=***, x"


def test_a_line_has_the_time_of_this_machine_with_its_zone() -> None:
    record = {"created": 1355518800.25, "msecs": 250, "levelno": 20, "levelname": "INFO", "name": "a", "msg": "hi"}
    code = "import logging, sys; from stocklib.logs import write_log; write_log(sys.stdout, level='INFO'); "
    code += f"logging.getLogger('a').handle(logging.makeLogRecord({record}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"TZ": "Europe/Berlin"}, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "2012-12-14 22:00:00,250 CET INFO    a: hi\n"
