"""A small SMTP server on a real socket that keeps what it is given."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class Mailbox:
    """Where it listens, and the mails that came in."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    def text(self, number: int) -> str:
        body = self.mails[number].get_body(("html", "plain"))
        assert body is not None
        return str(body.get_content())


@contextmanager
def receiving() -> Iterator[Mailbox]:
    """A server that takes every mail, for the length of the block."""
    box = Mailbox()

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().strip().upper():
                if line == b"DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    box.mails.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))  # type: ignore[arg-type]
                self.say("221 bye" if line == b"QUIT" else "250 ok")

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield box
        server.shutdown()
