"""A web page of a stranger in a real browser of this machine, and what its JavaScript gets of servers on loopback.

``stranger`` opens one, of an origin of its own. ``Stranger.attack`` sends requests to ports as a page can: ``fetch``
with and without CORS, multipart forms, websockets. ``Stranger.rebound`` does the same from a page whose name has come
to mean this machine (DNS rebinding): to the browser, the server is that page's own.
"""

import functools
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chromium

# A name that a stranger's DNS answers with 127.0.0.1.
REBOUND = "rebound.example"

_SCRIPT = """
const OWN = location.hostname === "%REBOUND%", HOST = OWN ? "%REBOUND%" : "127.0.0.1";

async function ask(port, path, method, mode, body, seconds) {
  const url = `http://${HOST}:${port}${path}`;
  const options = {method, mode, signal: AbortSignal.timeout(seconds * 1000)};
  if (method === "FORM") {
    options.method = "POST";
    options.body = new FormData();
    options.body.append("file", new Blob(["planted"]), "planted");
  } else if (method !== "GET") options.body = body;
  const told = {port, path, method, mode};
  try {
    const answer = await fetch(url, options);
    return {...told, status: answer.status, body: (await answer.text()).slice(0, 2000)};
  } catch (error) { return {...told, status: 0, body: ""}; }
}

function listen(port, path, seconds) {
  return new Promise(done => {
    const told = {port, path, method: "WEBSOCKET", mode: "cors", status: 0, body: ""};
    const socket = new WebSocket(`ws://${HOST}:${port}${path}`);
    setTimeout(() => { socket.close(); done(told); }, seconds * 1000);
    socket.onerror = () => done(told);
    socket.onopen = () => { told.status = 101; };
    socket.onmessage = message => { told.body += message.data; };
  });
}

async function attack(ports, paths, body, seconds) {
  const lanes = ports.map(async port => {
    const requests = [];
    for (const path of paths) {
      if (path.startsWith("ws:")) { requests.push(() => listen(port, path.slice(3), seconds)); continue; }
      // to a page of the server's own origin there is no difference
      for (const method of OWN ? [] : ["GET", "FORM"])
        requests.push(() => ask(port, path, method, "no-cors", body, seconds));
      for (const method of ["GET", "POST", "FORM", "PUT", "DELETE"])
        requests.push(() => ask(port, path, method, "cors", body, seconds));
    }
    const found = [];
    const worker = async () => { while (requests.length) found.push(await requests.shift()()); };
    await Promise.all([1, 2, 3, 4, 5, 6].map(worker));
    return found;
  });
  return JSON.stringify((await Promise.all(lanes)).flat());
}
""".replace("%REBOUND%", REBOUND)


@dataclass(frozen=True)
class Got:
    """What the page's JavaScript can see of one answer: status 0 is a failure, or an answer that it may not read."""

    port: int
    path: str
    method: str
    mode: str
    status: int
    body: str

    @property
    def is_read(self) -> bool:
        """Whether the page holds something that is not an error's text."""
        return 0 < self.status < 400 and self.body != ""


class Stranger:
    """A page that a stranger wrote."""

    def __init__(self, page: chromium.Page, address: str) -> None:
        self._page, self._address = page, address

    def attack(
        self, ports: Sequence[int], paths: Sequence[str], *, body: str = "planted", seconds: float = 2
    ) -> list[Got]:
        """Ask every port for every path (``ws:/…`` is a websocket's) by every method; each request has its seconds."""
        self._page.open(self._address)
        return self._run(ports, paths, body, seconds)

    def rebound(self, port: int, paths: Sequence[str], *, body: str = "planted", seconds: float = 2) -> list[Got]:
        """The same against one port, from a page of that port's own origin under the stranger's name."""
        self._page.open(f"http://{REBOUND}:{port}/")
        return self._run([port], paths, body, seconds)

    def _run(self, ports: Sequence[int], paths: Sequence[str], body: str, seconds: float) -> list[Got]:
        self._page.ask(f"{_SCRIPT}; 0")
        asked = f"attack({json.dumps(list(ports))}, {json.dumps(list(paths))}, {json.dumps(body)}, {seconds})"
        answers: list[dict[str, Any]] = json.loads(self._page.ask(asked))
        return [Got(**answer) for answer in answers]


@contextmanager
def stranger(folder: Path) -> Iterator[Stranger]:
    """A browser on a page of another origin; both are gone when the block ends."""
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("<!doctype html><title>somebody else's</title>")
    handler = functools.partial(_Quiet, directory=str(folder / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with chromium.browser(folder / "profile", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1") as page:
            yield Stranger(page, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Not on the screen."""
