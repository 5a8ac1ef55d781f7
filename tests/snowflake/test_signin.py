"""Signing in to Snowflake: which proof counts, what is wrong with it, and that no secret is ever shown."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stocklib.errors import SettingsError
from stocklib.settings import Settings, read_settings
from stocklib.warehouse.snowflake.signin import read_key, sign_in
from stocklib.warehouse.snowflake.troubles import explain


def settings(home: Path, **values: str) -> Settings:
    return read_settings(
        environ={"STOCKS_HOME": str(home), "SNOWFLAKE_ACCOUNT": "org-acc", "SNOWFLAKE_USER": "U", **values}
    )


def key_file(folder: Path, passphrase: str = "") -> Path:
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
    )
    path = folder / "key.p8"
    path.write_bytes(pem)
    return path


def test_a_key_pair_comes_first_then_a_token_then_a_browser_then_a_password(tmp_path: Path) -> None:
    ways = {
        "SNOWFLAKE_PASSWORD": ("pw", "password"),
        "SNOWFLAKE_AUTHENTICATOR": ("externalbrowser", "browser"),
        "SNOWFLAKE_TOKEN": ("tok", "token"),
        "SNOWFLAKE_PRIVATE_KEY_PATH": (str(key_file(tmp_path)), "key pair"),
    }
    given: dict[str, str] = {}
    for name, (value, kind) in ways.items():
        given[name] = value
        assert sign_in(settings(tmp_path, **given)).kind == kind


def test_an_encrypted_key_opens_with_its_passphrase_and_says_what_is_wrong_otherwise(tmp_path: Path) -> None:
    path = key_file(tmp_path, "hush-hush")
    assert serialization.load_der_private_key(read_key(path, "hush-hush"), None).key_size == 2048  # type: ignore[union-attr]
    with pytest.raises(SettingsError, match="is encrypted: set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"):
        read_key(path, "")
    with pytest.raises(SettingsError, match="PASSPHRASE is not the one of") as wrong:
        read_key(path, "another-one")
    assert "another-one" not in str(wrong.value)
    with pytest.raises(SettingsError, match="is not encrypted: leave out"):
        read_key(key_file(tmp_path), "hush-hush")
    path.write_text("no key")
    with pytest.raises(SettingsError, match="no PEM private key"):
        read_key(path, "")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_key(tmp_path / "none.p8", "")


def test_connections_toml_says_what_the_settings_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "connections.toml").write_text(
        # as Notepad saves it
        '[work]\naccount = "toml-acc"\nuser = "T"\ntoken = "toml-tok"\nrole = "R"\n',
        encoding="utf-8-sig",
    )
    monkeypatch.setenv("SNOWFLAKE_HOME", str(tmp_path))
    found = sign_in(read_settings(environ={"STOCKS_HOME": str(tmp_path), "SNOWFLAKE_CONNECTION": "work"}))
    assert (found.account, found.user, found.kind, found.role) == ("toml-acc", "T", "token", "R")
    assert sign_in(settings(tmp_path, SNOWFLAKE_CONNECTION="work")).account == "org-acc"
    with pytest.raises(SettingsError, match=r"has no \[home\]; it has \['work'\]"):
        sign_in(settings(tmp_path, SNOWFLAKE_CONNECTION="home"))


def test_nothing_to_sign_in_with_lists_the_ways(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"SNOWFLAKE_PRIVATE_KEY_PATH \(preferred\), SNOWFLAKE_TOKEN"):
        sign_in(settings(tmp_path))


def test_no_secret_is_in_a_repr_or_in_a_message(tmp_path: Path) -> None:
    who = sign_in(settings(tmp_path, SNOWFLAKE_PASSWORD="s3cr3t-pw"))
    assert "s3cr3t-pw" not in repr(who)
    said = explain(390100, "Incorrect username or password was specified: s3cr3t-pw, token=abcdef", who).text
    assert "s3cr3t-pw" not in said
    assert "abcdef" not in said


@pytest.mark.parametrize(
    ("number", "message", "kind", "mends"),
    [
        (290404, "404 Not Found: post org-acc.snowflakecomputing.com", "wrong account", "current_account_name"),
        (250001, "Failed to connect to DB: JWT token is invalid. [x]", "wrong key", "set rsa_public_key"),
        (390144, "JWT token is invalid.", "wrong key", "set rsa_public_key"),
        (250001, "Failed: Programmatic access token is invalid.", "refused token", "add programmatic"),
        (250001, "Failed to connect to DB: Incorrect username or password.", "wrong password", "key pair"),
        (250001, "Role 'R' in the connect string is not granted to this user.", "missing role", "grant role R"),
        (606, "No active warehouse selected in the current session.", "missing warehouse", "grant usage, operate"),
        (90073, "Warehouse 'W' cannot be resumed because resource monitor 'M' has exceeded its quota.",
         "resource monitor", "credit_quota"),
        (3001, "Insufficient privileges to operate on schema 'GOLD'", "missing grant", "dry-run"),
        (2003, "Database 'STOCKS_BUILD' does not exist or not authorized.", "missing object", "stocks init"),
        (250001, "Failed to connect to DB: Max retries exceeded", "unreachable", "network"),
        (1003, "syntax error line 1", "other", "syntax error"),
    ],
)  # fmt: skip
def test_each_trouble_is_told_from_the_others_and_says_what_mends_it(
    tmp_path: Path, number: int, message: str, kind: str, mends: str
) -> None:
    who = sign_in(settings(tmp_path, SNOWFLAKE_PASSWORD="pw-of-mine", SNOWFLAKE_ROLE="R"))
    found = explain(number, message, who)
    assert found.kind == kind
    assert mends in found.text
