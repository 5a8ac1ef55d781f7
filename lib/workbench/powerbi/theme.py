"""The report's themes: the palette of the Plotly template, light and dark, as Power BI's theme JSON."""

from typing import Any

from stocklib.plots.palette import DARK, DOWN, LEVEL, LIGHT, MIDDLE, PALETTE, UP, Paper

FONT = "Segoe UI"


def theme(*, dark: bool = False) -> dict[str, Any]:
    """The theme; colours are those of ``plots.palette`` and of no other place."""
    paper = DARK if dark else LIGHT
    return {
        "name": "Stocks dark" if dark else "Stocks",
        "dataColors": list(PALETTE),
        "good": UP,
        "neutral": LEVEL,
        "bad": DOWN,
        "maximum": UP,
        "center": MIDDLE,
        "minimum": DOWN,
        "foreground": paper.ink,
        "foregroundNeutralSecondary": paper.soft,
        "background": paper.card,
        "backgroundLight": paper.page,
        "backgroundNeutral": paper.line,
        "tableAccent": PALETTE[0],
        "textClasses": {
            "callout": {"fontSize": 24, "fontFace": FONT, "color": paper.ink},
            "title": {"fontSize": 12, "fontFace": FONT, "color": paper.ink},
            "header": {"fontSize": 11, "fontFace": FONT, "color": paper.ink},
            "label": {"fontSize": 10, "fontFace": FONT, "color": paper.soft},
        },
        "visualStyles": {"*": {"*": _everywhere(paper)}, "page": {"*": _page(paper)}},
    }


def _everywhere(paper: Paper) -> dict[str, Any]:
    return {
        "background": [{"show": True, "color": _solid(paper.card), "transparency": 0}],
        "border": [{"show": True, "color": _solid(paper.line), "radius": 6}],
        "title": [{"show": True, "fontColor": _solid(paper.ink), "fontSize": 12}],
        "categoryAxis": [{"labelColor": _solid(paper.soft), "gridlineColor": _solid(paper.line)}],
        "valueAxis": [{"labelColor": _solid(paper.soft), "gridlineColor": _solid(paper.line)}],
        "legend": [{"labelColor": _solid(paper.soft)}],
    }


def _page(paper: Paper) -> dict[str, Any]:
    return {
        "background": [{"color": _solid(paper.page), "transparency": 0}],
        "outspace": [{"color": _solid(paper.page), "transparency": 0}],
    }


def _solid(colour: str) -> dict[str, Any]:
    return {"solid": {"color": colour}}
