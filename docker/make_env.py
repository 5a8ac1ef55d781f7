"""Write the secrets of docker-compose.yml into .env: the missing ones, and new ones for the given names.

``python docker/make_env.py`` adds; ``python docker/make_env.py --rotate JUPYTER_TOKEN`` replaces. Any Python 3 will do,
and nothing needs to be installed. Only its owner can read the file, and no value is printed.
"""

import argparse
import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path


def _word() -> str:
    # only letters and digits: it is also part of URLs
    return secrets.token_hex(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


# docs/operations.md lists the further steps of each rotation.
SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _word,
    "MINIO_ROOT_USER": lambda: "stocks" + secrets.token_hex(4),
    "MINIO_ROOT_PASSWORD": _word,
    "AIRFLOW_ADMIN_PASSWORD": _word,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_SECRET_KEY": _word,
    "AIRFLOW_JWT_SECRET": _word,
    "JUPYTER_TOKEN": _word,
    "KAFKA_UI_PASSWORD": _word,
    "REPLAY_KEY": _word,
}


def write_env(path: Path, *, rotate: list[str]) -> list[str]:
    """Add what is missing to the file, and return the names with a new value."""
    # an editor may have left a byte order mark in front of the first name
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
    pairs = ((name.strip(), value.strip()) for name, _, value in (line.partition("=") for line in lines))
    there = {name: value for name, value in pairs if value}
    fresh = {name: make() for name, make in SECRETS.items() if name in rotate or name not in there}
    if "AIRFLOW_FERNET_KEY" in rotate and (old := there.get("AIRFLOW_FERNET_KEY")):
        # the old key still decrypts older values until `airflow rotate-fernet-key` runs
        fresh["AIRFLOW_FERNET_KEY"] += f",{old.partition(',')[0]}"
    if "STACK_UID" not in there:
        # containers write to volumes and to notebooks/ as this user, never as root
        fresh["STACK_UID"] = str(os.getuid() or 1000) if hasattr(os, "getuid") else "1000"
    kept = [line for line in lines if line.partition("=")[0].strip() not in fresh]
    _write_private(path, "\n".join([*kept, *(f"{name}={value}" for name, value in fresh.items())]) + "\n")
    return list(fresh)


def _write_private(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.tmp")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        # the only copy: it must survive a power cut
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the stack's secrets into .env.")
    parser.add_argument("--rotate", action="append", default=[], metavar="NAME", help=", ".join(SECRETS))
    parser.add_argument("--file", type=Path, default=Path(__file__).resolve().parents[1] / ".env")
    options = parser.parse_args()
    if unknown := [name for name in options.rotate if name not in SECRETS]:
        parser.error(f"{', '.join(unknown)}: there is {', '.join(SECRETS)}")
    try:
        new = write_env(options.file, rotate=options.rotate)
    except UnicodeDecodeError as error:
        parser.error(f"{options.file} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8")
    sys.stdout.write(
        f"{options.file.name}: {', '.join(new) + ' are new' if new else 'complete, nothing was changed'}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
