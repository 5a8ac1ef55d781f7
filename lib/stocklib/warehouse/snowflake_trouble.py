"""What Snowflake's errors mean: a number and a message in, what is wrong and which statement mends it out.

The numbers are those of the connector and of the server (Snowflake's pages "Python connector errors" and "Key pair
authentication: troubleshooting"). Secrets are taken out of whatever is quoted.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from stocklib.warehouse.snowflake_signin import SignIn

_LIMIT = 400


@dataclass(frozen=True)
class Trouble:
    """A sentence for an operator; ``is_busy`` when waiting helps."""

    text: str
    kind: str
    is_busy: bool = False


@dataclass(frozen=True)
class _Sign:
    """What tells a trouble: one of the numbers, or one of the words."""

    kind: str
    numbers: frozenset[int]
    words: str
    tell: Callable[[SignIn], str]


_SIGNS = (
    _Sign(
        "wrong account",
        frozenset({290404, 390101, 251001}),
        r"404 Not Found|Incorrect account|account is empty",
        lambda w: (
            f"Snowflake knows no account {w.account}: SNOWFLAKE_ACCOUNT is organisation-account, as "
            "`select current_organization_name() || '-' || current_account_name()` says in a worksheet"
        ),
    ),
    _Sign(
        "wrong key",
        frozenset({390144, 394300, 394301, 394302, 394303, 394304}),
        r"JWT token is invalid|public key",
        lambda w: (
            f"Snowflake refused the private key of user {w.user}: `alter user {w.user} set rsa_public_key = "
            "'<the public half, without its first and last line>'` registers it"
        ),
    ),
    _Sign(
        "refused token",
        frozenset({394400, 394401, 390303, 390318, 390195}),
        r"access token (is|has) (invalid|expired)|token is invalid|token expired",
        lambda w: (
            f"Snowflake refused the access token: it has expired or was revoked; `alter user {w.user or '<user>'}"
            " add programmatic access token <name>` makes another one, for SNOWFLAKE_TOKEN"
        ),
    ),
    _Sign(
        "wrong password",
        frozenset({390100}),
        r"Incorrect username or password",
        lambda w: (
            f"Snowflake refused user {w.user}: no such user, or another {w.kind}; a key pair "
            "(SNOWFLAKE_PRIVATE_KEY_PATH) is the way that lasts"
        ),
    ),
    _Sign(
        "missing role",
        frozenset({390189, 390186}),
        r"Role .* (is not granted|does not exist)|requested role",
        lambda w: (
            f"user {w.user} may not use role {w.role}: `grant role {w.role} to user {w.user}`, after `stocks "
            "init`; or choose another SNOWFLAKE_ROLE"
        ),
    ),
    _Sign(
        "resource monitor",
        frozenset({90073}),
        r"resource monitor",
        lambda w: (
            f"warehouse {w.warehouse} is held by a resource monitor whose credits are used up: `alter resource "
            "monitor STOCKS_MONITOR set credit_quota = <more>`, or wait for its next period"
        ),
    ),
    _Sign(
        "missing warehouse",
        frozenset({606, 390201, 390202}),
        r"No active warehouse|warehouse .*does not exist",
        lambda w: (
            f"there is no warehouse {w.warehouse or '(SNOWFLAKE_WAREHOUSE is empty)'} for role "
            f"{w.role or 'of this user'}: `grant usage, operate on warehouse {w.warehouse or '<name>'} to role "
            f"{w.role or '<role>'}`, after `stocks init`"
        ),
    ),
    _Sign(
        "suspended warehouse",
        frozenset({607, 609}),
        r"suspended|cannot be resumed",
        lambda w: (
            f"warehouse {w.warehouse} is suspended and does not resume: `alter warehouse {w.warehouse} set "
            "auto_resume = true`, or `alter warehouse … resume`"
        ),
    ),
    _Sign(
        "missing grant",
        frozenset({3001, 3540}),
        r"Insufficient privileges",
        lambda w: (
            f"role {w.role or 'of this user'} lacks a grant: `stocks init --dry-run` prints every grant that the "
            "roles need, for an administrator"
        ),
    ),
    _Sign(
        "missing object",
        frozenset({2003, 2043, 90105, 90106}),
        r"does not exist or not authorized|does not exist, or operation cannot be performed",
        lambda w: (
            f"there is no such object, or role {w.role or 'of this user'} may not see it: run `stocks init`, or "
            "`stocks init --dry-run` for an administrator"
        ),
    ),
    _Sign("missing column", frozenset({904}), r"invalid identifier", lambda w: "there is no such column"),
    _Sign(
        "network policy",
        frozenset({390422, 390432}),
        r"not allowed to access Snowflake",
        lambda w: "Snowflake's network policy does not let this address in: an administrator adds it to the policy",
    ),
    _Sign(
        "timeout",
        frozenset({604, 630}),
        r"statement timeout|reached its .*timeout",
        lambda w: "a statement took longer than SNOWFLAKE_TIMEOUT_SECONDS, and was ended",
    ),
    _Sign(
        "locked",
        frozenset({625, 635, 637, 638}),
        r"waiter|lock timeout|lock is not available",
        lambda w: "another session holds what this one needs; wait for it, or see `show locks in account`",
    ),
    _Sign(
        "unreachable",
        frozenset({250001, 250003, 250007, 250008, 251007, 290502, 290503, 290504}),
        r"Failed to (connect|establish)|Max retries|Could not connect|timed? ?out|Temporary failure in name",
        lambda w: (
            f"Snowflake is out of reach at account {w.account}: look at SNOWFLAKE_ACCOUNT, the network and a "
            "proxy (HTTPS_PROXY)"
        ),
    ),
)


def explain(number: int | None, message: str, who: SignIn) -> Trouble:
    """What is wrong, and what mends it; the server's own words at the end."""
    said = " ".join(without_secrets(message, who).split())
    quoted = said if len(said) <= _LIMIT else said[:_LIMIT] + " …"
    code = None if number is None or number == -1 else int(number)
    # a message says more than 250001, which the connector gives to every refused sign-in
    for sign in _SIGNS:
        if code in sign.numbers and code != 250001:
            return Trouble(f"{sign.tell(who)} ({quoted})", sign.kind, sign.kind == "locked")
    for sign in _SIGNS:
        if re.search(sign.words, said, re.IGNORECASE) or code in sign.numbers:
            return Trouble(f"{sign.tell(who)} ({quoted})", sign.kind, sign.kind == "locked")
    return Trouble(f"Snowflake refused: {quoted}", "other")


def without_secrets(text: str, who: SignIn) -> str:
    """The text without any proof of who we are."""
    for name, value in who.proof.items():
        if name != "path" and value:
            text = text.replace(value, "***")
    return re.sub(r"(?i)\b(password|token|passphrase)(\s*[=:]\s*)\S+", r"\1\2***", text)
