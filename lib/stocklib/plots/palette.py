"""The palette of the Plotly template; the themes of the Power BI report have the same colours.

After Okabe and Ito, whose colours stay apart under every kind of colour blindness; the blue and the vermilion are a
little lighter here, to be read on dark paper too.
"""

from dataclasses import dataclass

PALETTE = ("#1F80C4", "#DE6A10", "#0A9E78", "#CC79A7", "#E0A100", "#62B8E8", "#8A8D91")
UP, DOWN, LEVEL = PALETTE[0], PALETTE[1], PALETTE[6]
MIDDLE = "#eceff2"
LINES = (PALETTE[4], PALETTE[3], PALETTE[2], PALETTE[5])
# A strategy, its benchmark in grey, and more accounts: never the vermilion of a loss.
ACCOUNTS = (UP, LEVEL, PALETTE[2], PALETTE[3], PALETTE[4], PALETTE[5])


@dataclass(frozen=True)
class Paper:
    """The background of figures: text, soft text, grid lines, the card, and a tile that did not change."""

    ink: str
    soft: str
    grid: str
    card: str
    middle: str


LIGHT = Paper("#1c2430", "#5b6472", "rgba(20,30,50,.09)", "#ffffff", MIDDLE)
DARK = Paper("#e6e8eb", "#a3a9b2", "rgba(255,255,255,.10)", "#171a21", "#2d323b")
