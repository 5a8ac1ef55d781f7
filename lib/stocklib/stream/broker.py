"""Connections to Kafka: addresses and security from the settings, topics, and errors that say what to mend."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from stocklib.errors import StreamError
from stocklib.settings import Settings

# What the client raises, also for a missing certificate file and for an unknown mechanism.
FAILURES = (KafkaError, ValueError, OSError)
_ALREADY_EXISTS = 36
_REACH_SECONDS = 3.0
_CONNECT_MS = 10_000


def create_topics(settings: Settings) -> None:
    """Create the topics of these settings where they do not exist yet; nothing in them is deleted by age."""
    partitions = {
        settings.kafka_topic: settings.kafka_partitions,
        settings.kafka_trades_topic: settings.kafka_partitions,
        settings.kafka_dlq_topic: 1,
    }
    # Kafka deletes by the record's timestamp, and that of a replay of 2012 is old
    wanted = {name: {"num_partitions": n, "configs": {"retention.ms": "-1"}} for name, n in partitions.items()}
    with _admin(settings, "creating topics") as admin:
        answers = admin.create_topics(wanted, raise_errors=False)["topics"]
    refused = {
        answer["name"]: answer["error_message"] or answer["error_code"]
        for answer in answers
        if answer["error_code"] not in (0, _ALREADY_EXISTS)
    }
    if refused:
        raise StreamError(f"Kafka at {settings.kafka_broker} refused to create topics: {refused}")


def topic_ids(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """Return the id that Kafka gave each topic when it was created; a topic that is created again gets a new one."""
    names = list(topics)
    with _admin(settings, f"asking for the topics {', '.join(names)}") as admin:
        return {
            found["name"]: str(found["topic_id"]) for found in admin.describe_topics(names) if not found["error_code"]
        }


def check(settings: Settings) -> str:
    """Return one sentence about Kafka, for the doctor; ``StreamError`` says which setting is wrong."""
    topic = str(settings.kafka_topic)
    found = topic in topic_ids(settings, [topic])
    holds = f"topic {topic} is there" if found else f"topic {topic} does not exist yet: the first run makes it"
    return f"{settings.kafka_broker} answers ({settings.kafka_security_protocol}); {holds}"


def connect(settings: Settings, make: Callable[..., Any], **options: Any) -> Any:
    """Return a client made by ``make`` with the addresses and the security of the settings; else ``StreamError``.

    The client's own error says only that it could not start; the reason is in what it logs.
    """
    _reach(settings)
    begun: list[Any] = []

    def begin(**configuration: Any) -> Any:
        begun.append(KafkaNetClient(**configuration))
        return begun[-1]

    with _captured_log() as captured:
        try:
            return make(**_security(settings), bootstrap_timeout_ms=_CONNECT_MS, kafka_client=begin, **options)
        except FAILURES as error:
            # a client that started would leave its thread behind
            for client in begun:
                client.close()
                client._net.stop(timeout_ms=2000)
            # a last attempt that timed out would hide that earlier ones were refused
            lines = [record.getMessage()[:300] for record in captured]
            refused = [line for line in lines if "authentication" in line.lower()]
            reason = "; ".join(dict.fromkeys((refused or lines)[-3:])) or str(error)
            sasl = ", KAFKA_SASL_MECHANISM, _USERNAME, _PASSWORD" if "SASL" in settings.kafka_security_protocol else ""
            raise StreamError(
                f"Kafka at {settings.kafka_broker} was reached, but the connection failed ({reason}): check "
                f"KAFKA_SECURITY_PROTOCOL (now {settings.kafka_security_protocol}), KAFKA_SSL_CAFILE{sasl}"
            ) from error


@contextmanager
def translated(settings: Settings, what: str) -> Iterator[None]:
    """Turn errors of the client into ``StreamError``."""
    try:
        yield
    except FAILURES as error:
        raise StreamError(f"Kafka at {settings.kafka_broker} failed {what}: {error!r}; check that it runs") from error


@contextmanager
def _admin(settings: Settings, what: str) -> Iterator[Any]:
    admin = connect(settings, KafkaAdminClient)
    try:
        with translated(settings, what):
            yield admin
    finally:
        admin.close()


def _security(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in settings.kafka_broker.split(",")],
        "security_protocol": settings.kafka_security_protocol,
        "client_id": "stocks",
    }
    if "SASL" in settings.kafka_security_protocol:
        options |= {
            "sasl_mechanism": settings.require("KAFKA_SASL_MECHANISM"),
            "sasl_plain_username": settings.require("KAFKA_SASL_USERNAME"),
            "sasl_plain_password": settings.require("KAFKA_SASL_PASSWORD").reveal(),
        }
    if settings.kafka_ssl_cafile:
        options["ssl_cafile"] = settings.kafka_ssl_cafile
    return options


def _reach(settings: Settings) -> None:
    """Raise ``StreamError`` at once where no broker takes a connection: the plainest error comes first."""
    wrong: dict[str, OSError] = {}
    for address in settings.kafka_broker.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit():
            raise StreamError(f"KAFKA_BROKER={settings.kafka_broker!r}: expected host:port, several with commas")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS) as connection:
                _shake_hands(settings, connection, host)
        except OSError as error:
            wrong[address.strip()] = error
        else:
            return
    embedded = settings.origins["KAFKA_BROKER"] not in ("environment", ".env")
    hint = "; the embedded one is started by `stocks up`" if embedded else ""
    reasons = "; ".join(f"{address}: {error.strerror or error}" for address, error in wrong.items())
    text = f"Kafka does not answer ({reasons}): check that it runs, and KAFKA_BROKER{hint}"
    raise StreamError(text) from next(iter(wrong.values()))


def _shake_hands(settings: Settings, connection: socket.socket, host: str) -> None:
    """Try TLS where the settings ask for it: against a broker without TLS the client waits for ever."""
    if "SSL" not in settings.kafka_security_protocol:
        return
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile or None)
        context.wrap_socket(connection, server_hostname=host).close()
    except (OSError, ssl.SSLError) as error:
        raise StreamError(
            f"Kafka at {settings.kafka_broker} was reached, but TLS failed ({error}): check KAFKA_SECURITY_PROTOCOL "
            f"(now {settings.kafka_security_protocol}) and KAFKA_SSL_CAFILE ({settings.kafka_ssl_cafile or 'not set'})"
        ) from error


@contextmanager
def _captured_log() -> Iterator[list[logging.LogRecord]]:
    """Capture what the client logs while it connects, and keep it out of the log."""
    captured, logger = BufferingHandler(capacity=10_000), logging.getLogger("kafka")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(captured)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield captured.buffer
    finally:
        logger.removeHandler(captured)
        logger.setLevel(level)
        logger.propagate = propagate
