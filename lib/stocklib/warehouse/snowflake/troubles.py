"""What Snowflake's errors mean: a number and a message in, what is wrong and which statement mends it out.

``troubles.toml`` lists them. Secrets are taken out of whatever is quoted.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stocklib.logs import hide_secrets
from stocklib.warehouse.snowflake.signin import SignIn

_LIMIT = 400
# The number that the connector gives to every refused sign-in: the message says more.
_REFUSED = 250001


@dataclass(frozen=True)
class Trouble:
    """A sentence for an operator, and which ``kind`` of trouble it is; "locked" when waiting helps."""

    text: str
    kind: str


def explain(number: int | None, message: str, who: SignIn) -> Trouble:
    """Return what is wrong and what mends it, with the server's own words at the end."""
    secrets = [value for name, value in who.proof.items() if name != "path"]
    said = " ".join(hide_secrets(message, secrets).split())
    quoted = said if len(said) <= _LIMIT else said[:_LIMIT] + " …"
    numbered = [one for one in _known() if number in one["numbers"]]
    found = numbered if numbered and number != _REFUSED else []
    found += [one for one in _known() if re.search(one["words"], said, re.IGNORECASE) or one in numbered]
    if not found:
        return Trouble(f"Snowflake refused: {quoted}", "other")
    return Trouble(f"{found[0]['sentence'].format_map(_names(who))} ({quoted})", found[0]["kind"])


@cache
def _known() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["trouble"]
    return listed


def _names(who: SignIn) -> dict[str, str]:
    return {
        "account": who.account,
        "user": who.user or "<user>",
        "proof": who.kind,
        "role": who.role or "of this user",
        "role_name": who.role or "<role>",
        "warehouse": who.warehouse or "(SNOWFLAKE_WAREHOUSE is empty)",
        "warehouse_name": who.warehouse or "<name>",
    }
