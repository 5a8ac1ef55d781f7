"""What Snowflake's errors mean: a number and a message in, what is wrong and which statement mends it out.

The numbers are those of the connector and of the server (Snowflake's pages "Python connector errors" and "Key pair
authentication: troubleshooting"). Secrets are taken out of whatever is quoted.
"""

import re
from collections.abc import Set
from dataclasses import dataclass

from stocklib.warehouse.snowflake.signin import SignIn

_LIMIT = 400


@dataclass(frozen=True)
class Trouble:
    """A sentence for an operator; ``is_busy`` when waiting helps."""

    text: str
    kind: str
    is_busy: bool = False


@dataclass(frozen=True)
class _Sign:
    """What tells a trouble: one of the numbers, or one of the words; and the sentence about it (see ``_names``)."""

    kind: str
    numbers: Set[int]
    words: str
    sentence: str

    def tell(self, who: SignIn, quoted: str) -> Trouble:
        return Trouble(f"{self.sentence.format_map(_names(who))} ({quoted})", self.kind, self.kind == "locked")


_SIGNS = (
    _Sign(
        "wrong account",
        {290404, 390101, 251001},
        r"404 Not Found|Incorrect account|account is empty",
        "Snowflake knows no account {account}: SNOWFLAKE_ACCOUNT is organisation-account, as "
        "`select current_organization_name() || '-' || current_account_name()` says in a worksheet",
    ),
    _Sign(
        "wrong key",
        {390144, 394300, 394301, 394302, 394303, 394304},
        r"JWT token is invalid|public key",
        "Snowflake refused the private key of user {user}: `alter user {user} set rsa_public_key = "
        "'<the public half, without its first and last line>'` registers it",
    ),
    _Sign(
        "refused token",
        {394400, 394401, 390303, 390318, 390195},
        r"access token (is|has) (invalid|expired)|token is invalid|token expired",
        "Snowflake refused the access token: it has expired or was revoked; `alter user {user}"
        " add programmatic access token <name>` makes another one, for SNOWFLAKE_TOKEN",
    ),
    _Sign(
        "wrong password",
        {390100},
        r"Incorrect username or password",
        "Snowflake refused user {user}: no such user, or another {kind}; a key pair "
        "(SNOWFLAKE_PRIVATE_KEY_PATH) is the way that lasts",
    ),
    _Sign(
        "missing role",
        {390189, 390186},
        r"Role .* (is not granted|does not exist)|requested role",
        "user {user} may not use role {role_name}: `grant role {role_name} to user {user}`, after `stocks "
        "init`; or choose another SNOWFLAKE_ROLE",
    ),
    _Sign(
        "resource monitor",
        {90073},
        r"resource monitor",
        "warehouse {warehouse_name} is held by a resource monitor whose credits are used up: `alter resource "
        "monitor STOCKS_MONITOR set credit_quota = <more>`, or wait for its next period",
    ),
    _Sign(
        "missing warehouse",
        {606, 390201, 390202},
        r"No active warehouse|warehouse .*does not exist",
        "there is no warehouse {warehouse} for role "
        "{role}: `grant usage, operate on warehouse {warehouse_name} to role "
        "{role_name}`, after `stocks init`",
    ),
    _Sign(
        "suspended warehouse",
        {607, 609},
        r"suspended|cannot be resumed",
        "warehouse {warehouse_name} is suspended and does not resume: `alter warehouse {warehouse_name} set "
        "auto_resume = true`, or `alter warehouse … resume`",
    ),
    _Sign(
        "missing grant",
        {3001, 3540},
        r"Insufficient privileges",
        "role {role} lacks a grant: `stocks init --dry-run` prints every grant that the "
        "roles need, for an administrator",
    ),
    _Sign(
        "missing object",
        {2003, 2043, 90105, 90106},
        r"does not exist or not authorized|does not exist, or operation cannot be performed",
        "there is no such object, or role {role} may not see it: run `stocks init`, or "
        "`stocks init --dry-run` for an administrator",
    ),
    _Sign("missing column", {904}, r"invalid identifier", "there is no such column"),
    _Sign(
        "network policy",
        {390422, 390432},
        r"not allowed to access Snowflake",
        "Snowflake's network policy does not let this address in: an administrator adds it to the policy",
    ),
    _Sign(
        "timeout",
        {604, 630},
        r"statement timeout|reached its .*timeout",
        "a statement took longer than SNOWFLAKE_TIMEOUT_SECONDS, and was ended",
    ),
    _Sign(
        "locked",
        {625, 635, 637, 638},
        r"waiter|lock timeout|lock is not available",
        "another session holds what this one needs; wait for it, or see `show locks in account`",
    ),
    _Sign(
        "unreachable",
        {250001, 250003, 250007, 250008, 251007, 290502, 290503, 290504},
        r"Failed to (connect|establish)|Max retries|Could not connect|timed? ?out|Temporary failure in name",
        "Snowflake is out of reach at account {account}: look at SNOWFLAKE_ACCOUNT, the network and a "
        "proxy (HTTPS_PROXY)",
    ),
)


def explain(number: int | None, message: str, who: SignIn) -> Trouble:
    """Return what is wrong and what mends it, with the server's own words at the end."""
    said = " ".join(without_secrets(message, who).split())
    quoted = said if len(said) <= _LIMIT else said[:_LIMIT] + " …"
    code = None if number is None or number == -1 else int(number)
    # a message says more than 250001, which the connector gives to every refused sign-in
    for sign in _SIGNS:
        if code in sign.numbers and code != 250001:
            return sign.tell(who, quoted)
    for sign in _SIGNS:
        if re.search(sign.words, said, re.IGNORECASE) or code in sign.numbers:
            return sign.tell(who, quoted)
    return Trouble(f"Snowflake refused: {quoted}", "other")


def _names(who: SignIn) -> dict[str, str]:
    return {
        "account": who.account,
        "user": who.user or "<user>",
        "kind": who.kind,
        "role": who.role or "of this user",
        "role_name": who.role or "<role>",
        "warehouse": who.warehouse or "(SNOWFLAKE_WAREHOUSE is empty)",
        "warehouse_name": who.warehouse or "<name>",
    }


def without_secrets(text: str, who: SignIn) -> str:
    """Return the text without any proof of who we are."""
    for name, value in who.proof.items():
        if name != "path" and value:
            text = text.replace(value, "***")
    return re.sub(r"(?i)\b(password|token|passphrase)(\s*[=:]\s*)\S+", r"\1\2***", text)
