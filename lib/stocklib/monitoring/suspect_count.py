"""How many bars of gold look like a source's mistake: a count, not an alarm, since an alarm would never end."""

from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse


def count_suspects(settings: Settings) -> str:
    """Return how many suspect bars the published version has, and the newest of them, as part of a sentence."""
    found = open_warehouse(settings).query(
        "select symbol, cast(quote_date as varchar) as day from silver.suspect_bars order by quote_date desc, symbol"
    )
    if found.empty:
        return "no bar is suspect"
    count = "1 bar is suspect" if len(found) == 1 else f"{len(found)} bars are suspect"
    newest = found.iloc[0]
    return f"{count}, the last one {newest['symbol']} on {newest['day']}: see silver.suspect_bars"
