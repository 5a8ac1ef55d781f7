"""The report's word on suspect bars: how many there are, and which; nothing where there is none."""

from html import escape

import pandas as pd

from stocklib.report.cards import day_text, number

_SHOWN = 10


def section(suspects: pd.DataFrame) -> str:
    """The card; ``suspects`` are rows of silver.suspect_bars."""
    if suspects.empty:
        return ""
    count = len(suspects)
    named = [
        f"{row['symbol']} on {day_text(row['quote_date'])}: {number(row['close_price'], 2)} between "
        f"{number(row['previous_close'], 2)} and {number(row['next_close'], 2)}"
        for row in suspects.head(_SHOWN).to_dict("records")
    ]
    more = f" And {count - _SHOWN} more." if count > _SHOWN else ""
    items = "".join(f"<li>{escape(text)}</li>" for text in named)
    return f"""<section class="card wide" id="suspects">
<div class="bar"><h2>Suspect bars</h2><span class="verdict down">{count}</span></div>
<p class="note">Prices that jump, by no split, and that the next session takes back: probably a mistake of the source.
They count in every figure on this page.{more}</p>
<ul>{items}</ul>
</section>"""
