"""What may be done with the published data, by the sources that it came from (README, *Terms of the data*)."""

from stocklib.warehouse import Reader

_YAHOO = "Yahoo's data, which yfinance reads, is for personal use."
_FINNHUB = "Finnhub's free plan is for personal use; redistribution needs their consent."
_REPLAYED = (
    "The data is replayed. The recorded bars of this project are public domain (Quandl WIKI); "
    "for bars of your own the terms of their source hold."
)
_ALWAYS = "Nothing here is advice to buy or sell."


def terms_of(look: Reader) -> list[str]:
    """Return the terms of the published daily bars, a sentence each."""
    if look.query("select 1 as found from ops.warehouse_source where kind = 'replayed'").shape[0]:
        return [_REPLAYED, _ALWAYS]
    sources = set(look.query("select distinct data_source from gold.fact_daily_stock_quotes")["data_source"])
    terms = ([_FINNHUB] if sources - {"yfinance"} else []) + ([_YAHOO] if "yfinance" in sources else [])
    return [*terms, _ALWAYS]
