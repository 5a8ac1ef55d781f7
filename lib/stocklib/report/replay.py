"""Which replayed prices stand in for the market's: what the banner of every page says."""

from dataclasses import dataclass
from datetime import date

import pandas as pd

from stocklib.errors import WarehouseError
from stocklib.market.pinned import reading
from stocklib.settings import MADE_BARS, Settings

_REPLAY = """
select min(quotes.quote_date) as first_date, max(quotes.quote_date) as last_date
from gold.fact_daily_stock_quotes as quotes
cross join ops.warehouse_source as source
where source.kind = 'replayed'
"""


@dataclass(frozen=True)
class Replay:
    """Replayed prices as a sentence names them, and their first and last trade date."""

    prices: str
    first: date
    last: date


def read_replay(settings: Settings) -> Replay | None:
    """Return the replay that is published; None of live data, where nothing is published, or it is out of reach.

    Raise the other errors of the warehouse, such as ``VersionChanged``: a replay never passes for live data.
    """
    try:
        with reading(settings) as look:
            found = look.query(_REPLAY)
    except WarehouseError as error:
        if type(error) is not WarehouseError:
            raise
        return None
    first, last = (pd.Timestamp(day) for day in found.iloc[0])
    return None if pd.isna(last) else Replay(replayed_prices(settings), first.date(), last.date())


def replayed_prices(settings: Settings) -> str:
    """Return how a sentence names the replay's prices."""
    path = settings.replay_bars
    if path is None:
        return "Recorded prices"
    return "Made-up prices" if path == settings.home / MADE_BARS else f"The prices of {path.name}"
