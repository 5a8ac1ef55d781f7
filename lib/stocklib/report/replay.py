"""Which replayed prices stand in for the market's: what the banner of every page says."""

from dataclasses import dataclass
from datetime import date

from stocklib.errors import WarehouseError
from stocklib.market.pinned import reading
from stocklib.settings import MADE_BARS, Settings


@dataclass(frozen=True)
class Replay:
    """Replayed prices as a sentence names them, and their first and last trade date."""

    prices: str
    first: date
    last: date


def read_replay(settings: Settings) -> Replay | None:
    """Return the replay that is published; None of live data, and where no prices are published."""
    try:
        with reading(settings) as look:
            source = look.query("select kind from ops.warehouse_source")
            days = look.query(
                "select min(quote_date) as first, max(quote_date) as last from gold.fact_daily_stock_quotes"
            )
    except WarehouseError:
        return None
    if "replayed" not in set(source["kind"]) or days["last"].isna().any():
        return None
    return Replay(replayed_prices(settings), days["first"].iloc[0].date(), days["last"].iloc[0].date())


def replayed_prices(settings: Settings) -> str:
    """Return how a sentence names the replay's prices."""
    path = settings.replay_bars
    if path is None:
        return "Recorded prices"
    return "Made-up prices" if path == settings.home / MADE_BARS else f"The prices of {path.name}"
