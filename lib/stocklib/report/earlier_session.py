"""What gold holds of the last session only, computed again for an earlier one; a test compares the two."""

import pandas as pd

from stocklib import market
from stocklib.sessions import previous_session, session
from stocklib.settings import Settings


def at_close(settings: Settings, daily: pd.DataFrame, latest: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``gold_kpi`` as they were after the last of these sessions, at prices as traded then.

    The change is against our own final close of the session before, as there; quotes of that time are not used.
    """
    bars = daily.sort_values("date").groupby("symbol")
    last = bars.tail(1).set_index("symbol")
    prior = bars.nth(-2).set_index("symbol").reindex(last.index)
    sessions_before = last["date"].map(lambda day: pd.Timestamp(previous_session(day.date()).session_date))
    is_known = (prior["date"] == sessions_before) & prior["is_final"].eq(True)
    before = prior["close"].where(is_known)
    traded = market.prices(end=last["date"].max(), adjust="none", settings=settings).groupby("symbol")["close"].last()
    close = traded.reindex(last.index)
    ends = {day: session(day.date()) for day in last["date"].unique()}
    return pd.DataFrame(
        {
            "symbol": last.index,
            "current_price": close.to_numpy(),
            "change_amount": ((last["close"] - before) * close / last["close"]).to_numpy(),
            "change_percent": (100 * (last["close"] / before - 1)).to_numpy(),
            "change_basis": ["close" if known else None for known in is_known],
            "ytd_return_percent": latest["ytd_return_percent"].reindex(last.index).to_numpy(),
            "as_of": [found.close if (found := ends[day]) else day.tz_localize("UTC") for day in last["date"]],
            "fetched_at": pd.NaT,
        }
    )


def then_by_now(everything: pd.DataFrame, daily: pd.DataFrame) -> pd.Series:
    """Return each symbol's last close of these bars divided by its latest one."""
    then, now = (bars.sort_values("date").groupby("symbol")["close"].last() for bars in (daily, everything))
    return then / now
