"""The report's card of suspect bars: their number and names; empty where there is none."""

import pandas as pd

from stocklib.report.shell import part

_SHOWN = 10


def section(suspects: pd.DataFrame) -> str:
    """Return the card; ``suspects`` are rows of silver.suspect_bars."""
    if suspects.empty:
        return ""
    return part("suspects.html", count=len(suspects), bars=suspects.head(_SHOWN).to_dict("records"))
