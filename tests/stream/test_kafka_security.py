"""The clients keep to KAFKA_SECURITY_PROTOCOL and its kin, against an Apache Kafka that lets in only who may."""

import datetime
import ipaddress
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import apache_kafka
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from streams import T0, quote

from stocklib.errors import StreamError
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Producer, check, create_topics
from workbench.embedded import processes
from workbench.embedded.processes import Daemon

pytestmark = pytest.mark.apache

PASSWORD = secrets.token_hex(12)
_LOGIN = "org.apache.kafka.common.security"
PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:$kafka,CLIENT://127.0.0.1:$secure,TLS://127.0.0.1:$tls,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka,CLIENT://127.0.0.1:$secure,TLS://127.0.0.1:$tls
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENT:SASL_SSL,TLS:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
ssl.keystore.type=PEM
ssl.truststore.type=PEM
"""


def certificate(
    name: str, folder: Path, *, signed_by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
):
    """A certificate for 127.0.0.1, or an authority of its own; its key and it are one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    issuer, signer = (signed_by[0].subject, signed_by[1]) if signed_by else (subject, key)
    made = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=signed_by is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(pem)
    (folder / f"{name}-with-key.pem").write_bytes(key.private_bytes(*form) + pem)
    return made, key


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, guard: Callable[[Path], None]) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("guarded")
    guard(home)
    authority = certificate("authority", home)
    certificate("stranger", home)
    certificate("broker", home, signed_by=authority)
    lines = PROPERTIES
    lines += f"ssl.keystore.location={home / 'broker-with-key.pem'}\nssl.truststore.location={home / 'authority.pem'}\n"
    scram, plain = f"{_LOGIN}.scram.ScramLoginModule required;", f"{_LOGIN}.plain.PlainLoginModule required"
    lines += f"listener.name.client.scram-sha-512.sasl.jaas.config={scram}\n"
    lines += f'listener.name.client.plain.sasl.jaas.config={plain} user_stocks="{PASSWORD}";\n'
    try:
        daemon = apache_kafka.run_guarded(
            home / "embedded" / "kafka", apache_kafka.Guard(lines, users={"stocks": PASSWORD})
        )
    except apache_kafka.NotToBeHad as error:
        pytest.skip(str(error))
    yield daemon
    processes.stop(daemon, grace=5)


def sasl(mechanism: str, password: str = PASSWORD) -> dict[str, str]:
    return {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": "stocks",
        "KAFKA_SASL_PASSWORD": password,
    }


def settings_for(broker: Daemon, home: Path, told: Mapping[str, str], *, authority: str = "authority") -> Settings:
    port = broker.ports["secure" if "SASL" in told["KAFKA_SECURITY_PROTOCOL"] else "tls"]
    own = secrets.token_hex(4)
    return read_settings(
        environ={
            "STOCKS_HOME": str(home),
            "KAFKA_BROKER": f"127.0.0.1:{port}",
            "KAFKA_SSL_CAFILE": str(broker.folder.parents[1] / f"{authority}.pem"),
            "KAFKA_TOPIC": f"quotes-{own}",
            "KAFKA_GROUP": f"group-{own}",
            "KAFKA_SESSION_TIMEOUT_MS": "2000",
            **told,
        }
    )


@pytest.mark.parametrize(
    "told",
    [sasl("SCRAM-SHA-512"), sasl("PLAIN"), {"KAFKA_SECURITY_PROTOCOL": "SSL"}],
    ids=["scram over tls", "plain over tls", "tls alone"],
)
def test_topics_are_made_quotes_sent_and_read_over_an_encrypted_connection(
    broker: Daemon, tmp_path: Path, told: dict[str, str]
) -> None:
    settings = settings_for(broker, tmp_path, told)
    create_topics(settings)
    with Producer(settings, source="replay") as sender:
        for n in range(20):
            sender.publish(settings.kafka_topic, "AAPL", quote(n=n), timestamp=T0)
    consumer = Consumer(settings, [settings.kafka_topic])
    read = 0
    for _ in range(100):
        read += sum(len(messages) for messages in consumer.poll(0.2, limit=100).values())
        if read >= 20:
            break
    consumer.close()
    assert read == 20
    assert settings.kafka_security_protocol in check(settings)


def test_a_wrong_password_is_refused_and_the_error_says_what_to_mend_without_it(broker: Daemon, tmp_path: Path) -> None:
    wrong = secrets.token_hex(12)
    told = []
    # on a busy machine the broker hangs up before the client has read its refusal
    while not any("authentication" in one.lower() for one in told) and len(told) < 5:
        with pytest.raises(StreamError, match="KAFKA_SASL_MECHANISM, _USERNAME, _PASSWORD") as raised:
            check(settings_for(broker, tmp_path, sasl("SCRAM-SHA-512", wrong)))
        told.append(str(raised.value))
    assert "authentication" in told[-1].lower()
    assert not any(wrong in one for one in told)
    assert wrong not in repr(settings_for(broker, tmp_path, sasl("PLAIN", wrong)))


def test_a_certificate_that_is_not_trusted_is_named_at_once(broker: Daemon, tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"TLS failed .*CERTIFICATE_VERIFY_FAILED.*KAFKA_SSL_CAFILE"):
        check(settings_for(broker, tmp_path, sasl("SCRAM-SHA-512"), authority="stranger"))


def test_a_client_without_tls_is_told_which_setting_is_wrong(
    broker: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.stream.broker._CONNECT_MS", 1500)
    told = {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}
    with pytest.raises(StreamError, match=r"KAFKA_SECURITY_PROTOCOL \(now PLAINTEXT\)"):
        check(settings_for(broker, tmp_path, told))
