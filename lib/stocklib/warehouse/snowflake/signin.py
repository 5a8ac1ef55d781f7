"""How to sign in to Snowflake: settings and ``connections.toml`` in; the options of the connector and of dbt out.

A key pair comes first, then a programmatic access token, then a browser, then a password, which Snowflake is switching
off for people. What a setting says wins over ``connections.toml``. Nothing here is printed with its secrets.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stocklib.errors import SettingsError
from stocklib.host import extra
from stocklib.settings import Secret, Settings
from stocklib.text_files import read_text

# What each of our settings is called in connections.toml, by which the connector knows it too.
_ALIKE = ("account", "token", "authenticator", "password", "role", "warehouse", "database", "host")
_TOML_NAMES = {name: (name,) for name in _ALIKE} | {
    "user": ("user", "username"),
    "private_key_path": ("private_key_file", "private_key_path"),
    "private_key_passphrase": ("private_key_file_pwd", "private_key_passphrase"),
}


@dataclass(frozen=True)
class SignIn:
    """Who signs in where, and by which ``kind`` of proof: key pair, token, browser or password."""

    account: str
    user: str
    kind: str
    role: str
    warehouse: str
    database: str
    proof: Mapping[str, str] = field(repr=False)
    address: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return what ``snowflake.connector.connect`` takes."""
        given: dict[str, Any] = {"account": self.account, "user": self.user, **self.address}
        given |= {name: value for name, value in (("role", self.role), ("warehouse", self.warehouse)) if value}
        if self.kind == "key pair":
            given["private_key"] = read_key(Path(self.proof["path"]), self.proof.get("passphrase", ""))
        elif self.kind == "token":
            given |= {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": self.proof["token"]}
        elif self.kind == "browser":
            given["authenticator"] = "externalbrowser"
        else:
            given["password"] = self.proof["password"]
        return given

    def environ(self) -> dict[str, str]:
        """Return what dbt's profile reads; dbt keeps what begins with DBT_ENV_SECRET_ out of its logs."""
        authenticators = {"token": "programmatic_access_token", "browser": "externalbrowser"}
        return {
            "STOCKS_SNOWFLAKE_ACCOUNT": self.account,
            "STOCKS_SNOWFLAKE_USER": self.user,
            "STOCKS_SNOWFLAKE_ROLE": self.role,
            "STOCKS_SNOWFLAKE_WAREHOUSE": self.warehouse,
            "STOCKS_SNOWFLAKE_AUTHENTICATOR": authenticators.get(self.kind, ""),
            "STOCKS_SNOWFLAKE_KEY_PATH": self.proof.get("path", ""),
            "STOCKS_SNOWFLAKE_HOST": str(self.address.get("host", "")),
            "STOCKS_SNOWFLAKE_PORT": str(self.address.get("port", 443)),
            "STOCKS_SNOWFLAKE_PROTOCOL": str(self.address.get("protocol", "https")),
            "DBT_ENV_SECRET_SNOWFLAKE_PASSPHRASE": self.proof.get("passphrase", ""),
            "DBT_ENV_SECRET_SNOWFLAKE_TOKEN": self.proof.get("token", ""),
            "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": self.proof.get("password", ""),
        }


def sign_in(settings: Settings) -> SignIn:
    """Return how these settings sign in; ``SettingsError`` names what is missing."""
    values = _values(settings)
    if not values["account"]:
        raise SettingsError(
            "SNOWFLAKE_ACCOUNT is not set: put organisation-account into .env (see .env.example), or name a connection "
            "of ~/.snowflake/connections.toml in SNOWFLAKE_CONNECTION"
        )
    if not values["user"] and not values["token"]:
        raise SettingsError("SNOWFLAKE_USER is not set: put it into .env (see .env.example) or into the environment")
    kind, proof = _proof(values)
    names = {name: values[name] for name in ("account", "user", "role", "warehouse")}
    address = _address(values["host"])
    return SignIn(**names, kind=kind, database=values["database"].upper(), proof=proof, address=address)


def read_key(path: Path, passphrase: str) -> bytes:
    """Return the private key of a PEM file as the connector takes it; ``SettingsError`` says what is wrong with it."""
    with extra("snowflake"):
        from cryptography.hazmat.primitives import serialization

    at = path.expanduser()
    try:
        pem = at.read_bytes()
    except OSError as error:
        raise SettingsError(f"SNOWFLAKE_PRIVATE_KEY_PATH: {at} cannot be read ({error.strerror})") from None
    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except TypeError:
        # the library says so in both directions
        want = "is encrypted: set" if not passphrase else "is not encrypted: leave out"
        raise SettingsError(f"the private key {at} {want} SNOWFLAKE_PRIVATE_KEY_PASSPHRASE") from None
    except ValueError:
        why = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is not the one of" if passphrase else "there is no PEM private key in"
        raise SettingsError(f"{why} {at}; `openssl rsa -check -in` shows whether a key can be read") from None
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _values(settings: Settings) -> dict[str, str]:
    """Return the values of our settings; for those that are not set, what ``connections.toml`` has."""
    named = _read_connection(settings.snowflake_connection) if settings.snowflake_connection else {}
    values = {}
    for name, theirs in _TOML_NAMES.items():
        value = getattr(settings, f"snowflake_{name}")
        values[name] = value.reveal() if isinstance(value, Secret) else value
        if settings.origins[f"SNOWFLAKE_{name.upper()}"] == "default":
            values[name] = next((str(named[key]) for key in theirs if named.get(key)), values[name])
    return values


def _proof(values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    if values["private_key_path"]:
        path = str(Path(values["private_key_path"]).expanduser())
        return "key pair", {"path": path, "passphrase": values["private_key_passphrase"]}
    if values["token"]:
        return "token", {"token": values["token"]}
    if values["authenticator"].lower() == "externalbrowser":
        return "browser", {}
    if values["password"]:
        return "password", {"password": values["password"]}
    raise SettingsError(
        "nothing says how to sign in to Snowflake: set SNOWFLAKE_PRIVATE_KEY_PATH (preferred), SNOWFLAKE_TOKEN, "
        "SNOWFLAKE_AUTHENTICATOR=externalbrowser or SNOWFLAKE_PASSWORD"
    )


def _address(host: str) -> dict[str, Any]:
    if not host:
        return {}
    parts = urlsplit(host if "//" in host else f"https://{host}")
    protocol = parts.scheme or "https"
    return {
        "host": parts.hostname or host,
        "port": parts.port or (80 if protocol == "http" else 443),
        "protocol": protocol,
    }


def _read_connection(name: str) -> Mapping[str, Any]:
    path = Path(os.environ.get("SNOWFLAKE_HOME") or "~/.snowflake").expanduser() / "connections.toml"
    try:
        known = tomllib.loads(read_text(path))
    except (OSError, SettingsError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"SNOWFLAKE_CONNECTION={name}: {path} cannot be read: {error}") from None
    # snowflake's own command line writes [name] there, its config.toml [connections.name]
    found = known.get(name) or known.get("connections", {}).get(name)
    if not isinstance(found, dict):
        raise SettingsError(f"SNOWFLAKE_CONNECTION={name}: {path} has no [{name}]; it has {sorted(known)}")
    return found
