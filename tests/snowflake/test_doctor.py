"""What a server that refuses tells the real connector, and what stocks says then: the trouble, and what mends it."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from snowflake.connector.errors import ProgrammingError
from snowflake_emulator import Emulator, make_databases

from stocklib.errors import WarehouseError
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse


@pytest.fixture
def refusing(snow: Emulator) -> Iterator[Emulator]:
    yield snow
    snow.refuse = lambda asked: None
    snow.before = lambda sql: None


@pytest.fixture(scope="module")
def as_loader(snow: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse whose tables are there, and whose user works in the loader's role."""
    settings = snow.settings(tmp_path_factory.mktemp("loader"))
    make_databases(settings)
    open_warehouse(settings).initialise()
    return with_values(settings, SNOWFLAKE_ROLE="LOADER")


def with_values(settings: Settings, **values: str) -> Settings:
    from snowflake_emulator import environ_of

    return read_settings(environ={**environ_of(settings), **values})


@pytest.mark.parametrize(
    ("number", "message", "mends"),
    [
        ("390101", "Incorrect account name was specified.", "select current_organization_name()"),
        ("390144", "JWT token is invalid.", "alter user fake set rsa_public_key"),
        ("390100", "Incorrect username or password was specified.", "SNOWFLAKE_PRIVATE_KEY_PATH"),
        ("390303", "Programmatic access token has expired.", "add programmatic access token"),
        ("390189", "Role 'LOADER' specified in the connect string is not granted to this user.",
         "grant role LOADER to user fake"),
        ("390422", "Incoming request with IP 10.0.0.1 is not allowed to access Snowflake.", "network policy"),
    ],
)  # fmt: skip
def test_a_refused_sign_in_is_told_apart_and_names_what_mends_it(
    snow: Emulator, refusing: Emulator, tmp_path: Path, number: str, message: str, mends: str
) -> None:
    refusing.refuse = lambda asked: (number, message)
    settings = with_values(snow.settings(tmp_path), SNOWFLAKE_ROLE="LOADER")
    with pytest.raises(WarehouseError) as told:
        open_warehouse(settings).check()
    assert mends in str(told.value)
    assert "snow-secret" not in str(told.value)


@pytest.mark.parametrize(
    ("statement", "number", "message", "mends"),
    [
        ("insert into", 3001, "Insufficient privileges to operate on table 'LOAD_HISTORY'",
         "grant select, insert, update, delete on all tables in schema {build}.raw to role LOADER"),
        ("list ", 3001, "Insufficient privileges to operate on stage 'LANDING'",
         "grant read, write on stage {build}.raw.landing to role LOADER"),
        ("update ", 2003, "Object 'WRITER_LOCK' does not exist or not authorized.",
         "grant select, insert, update, delete on table {build}.PUBLIC.writer_lock to role LOADER"),
        ("insert into", 606, "No active warehouse selected in the current session.",
         "grant usage, operate on warehouse STOCKS_WH to role LOADER"),
        ("insert into", 607, "Warehouse 'STOCKS_WH' is suspended.", "alter warehouse STOCKS_WH set auto_resume = true"),
        ("insert into", 90073, "Warehouse 'STOCKS_WH' cannot be resumed because resource monitor 'STOCKS_MONITOR' "
         "has exceeded its quota.", "alter resource monitor STOCKS_MONITOR set credit_quota"),
    ],
)  # fmt: skip
def test_what_a_role_may_not_do_is_told_with_the_statement_that_mends_it(
    as_loader: Settings, refusing: Emulator, statement: str, number: int, message: str, mends: str
) -> None:
    def refuse(sql: str) -> None:
        if sql.startswith(statement):
            raise ProgrammingError(msg=message, errno=number)

    warehouse = open_warehouse(as_loader)
    with warehouse.writing():
        pass
    assert "snowflake, account fakesnow" in warehouse.check()
    refusing.before = refuse
    with pytest.raises(WarehouseError) as told:
        warehouse.check()
    assert mends.format(build=f"{as_loader.snowflake_database}_BUILD") in str(told.value)


def test_a_warehouse_that_is_not_there_is_told_before_anything_else(as_loader: Settings) -> None:
    with pytest.raises(WarehouseError, match="grant usage, operate on warehouse OTHER_WH to role LOADER"):
        open_warehouse(with_values(as_loader, SNOWFLAKE_WAREHOUSE="OTHER_WH")).check()


def test_an_account_out_of_reach_ends_within_the_timeout_with_a_sentence(snow: Emulator, tmp_path: Path) -> None:
    settings = with_values(snow.settings(tmp_path), SNOWFLAKE_HOST="http://127.0.0.1:9", SNOWFLAKE_TIMEOUT_SECONDS="2")
    with pytest.raises(WarehouseError, match="out of reach at account fakesnow: look at SNOWFLAKE_ACCOUNT"):
        open_warehouse(settings).check()


@pytest.mark.parametrize("passphrase", ["", "hush-hush"])
def test_a_key_pair_signs_in_with_a_token_that_its_public_half_verifies(
    snow: Emulator, tmp_path: Path, passphrase: str
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    path = tmp_path / "key.p8"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
    settings = with_values(
        snow.settings(tmp_path), SNOWFLAKE_PRIVATE_KEY_PATH=str(path), SNOWFLAKE_PRIVATE_KEY_PASSPHRASE=passphrase
    )
    before = len(snow.logins)
    make_databases(settings)
    asked = snow.logins[before]
    assert asked["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert "snow-secret" not in json.dumps(asked)
    head, said, signature = asked["TOKEN"].split(".")
    key.public_key().verify(decode(signature), f"{head}.{said}".encode(), padding.PKCS1v15(), hashes.SHA256())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    print_of_key = base64.b64encode(hashlib.sha256(public).digest()).decode()
    assert json.loads(decode(said))["iss"] == f"FAKESNOW.FAKE.SHA256:{print_of_key}"


def test_a_programmatic_access_token_is_sent_as_one(snow: Emulator, tmp_path: Path) -> None:
    settings = with_values(snow.settings(tmp_path), SNOWFLAKE_TOKEN="a-token-of-mine")
    before = len(snow.logins)
    make_databases(settings)
    assert snow.logins[before]["AUTHENTICATOR"] == "PROGRAMMATIC_ACCESS_TOKEN"
    assert snow.logins[before]["TOKEN"] == "a-token-of-mine"


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
