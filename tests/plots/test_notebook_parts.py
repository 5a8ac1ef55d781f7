"""What notebooks are made of: tables to read, and figures with a menu of symbols."""

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chromium import browser, find

from stocklib import plots
from stocklib.errors import InputError


def test_a_table_has_thousands_signs_days_and_dashes() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["BRK_A", "IBM"],
            "volume": [1_234_567.0, math.nan],
            "close": [Decimal("700123.456"), 12.0],
            "change_percent": [-0.004, 12.5],
            "max drawdown %": [-27.386, 0.0],
            "is_final": [True, False],
            "recovered": [pd.Timestamp("2012-12-14"), None],
            "as_of": pd.to_datetime(["2012-12-14 21:00:05", None], utc=True),
        }
    )
    shown = plots.styled(frame.set_index("symbol"))
    assert list(shown) == ["volume", "close", "change %", "max drawdown %", "is final", "recovered", "as of"]
    assert shown.to_dict("split")["data"] == [
        ["1,234,567", "700,123.46", "+0.00", "−27.39", "yes", "2012-12-14", "2012-12-14 21:00:05"],
        ["–", "12.00", "+12.50", "0.00", "no", "–", "–"],
    ]
    # the name of the index stands in the header's corner
    assert repr(shown[["volume"]]) == "symbol     volume\nBRK_A   1,234,567\nIBM             –"
    assert frame["volume"].iloc[0] == 1_234_567


def test_where_rows_are_figures_each_has_its_own_form() -> None:
    figures = pd.DataFrame({"A": [1234.5, 0.1 + 0.2, 3.0]}, index=["price return %", "Sharpe", "trades"])
    assert plots.styled(figures)["A"].to_dict() == {"price return %": "+1,234.50", "Sharpe": "0.30", "trades": "3"}


def test_a_small_price_keeps_three_digits_that_count() -> None:
    prices = pd.DataFrame({"close": [0.000073, 12.5], "low_price": [0.25, 0.0], "close_percent": [0.001, 1.0]})
    shown = plots.styled(prices)
    assert shown["close"].tolist() == ["0.000073", "12.500000"]
    assert shown["low price"].tolist() == ["0.250", "0.000"]
    assert shown["close %"].tolist() == ["0.00", "1.00"]


def test_a_table_escapes_names_and_leaves_row_numbers_out() -> None:
    shown = plots.styled(pd.DataFrame({"<i>": ["<script>"] * 3, "close": np.arange(3) + 0.5}))
    assert "<script>" not in shown.to_html()
    assert set(shown.index) == {""}
    named = plots.styled(pd.Series([0.5, 1.5], [5, 25], name="price return %").rename_axis("bps"))
    assert (list(named.index), named.columns.name, list(named)) == (["5", "25"], "bps", ["price return %"])
    with pytest.raises(InputError, match="a frame or a series"):
        plots.styled([1, 2])  # type: ignore[arg-type]


def figures_of(names: str) -> dict[str, object]:
    days = pd.bdate_range("2012-01-02", periods=30)
    rows = {name: pd.Series(np.linspace(100, 100 + 10 * (n + 1), 30), days) for n, name in enumerate(names)}
    return {name: plots.equity_curve({name: one, "hold": one * 2}, title=name) for name, one in rows.items()}


def test_a_menu_shows_one_figure_and_knows_the_others() -> None:
    figures = figures_of("XYZ")
    chosen = plots.choose(figures, first="Y")  # type: ignore[arg-type]
    assert [trace.name for trace in chosen.data if trace.visible] == ["Y", "Y, drawdown", "hold", "hold, drawdown"]
    menu = chosen.layout.updatemenus[0]
    assert (menu.active, [button.label for button in menu.buttons]) == (1, ["X", "Y", "Z"])
    assert menu.buttons[2].args[0]["visible"] == [False] * 8 + [True] * 4
    assert chosen.layout.title.text is None
    # the figures themselves are as before
    assert all(trace.visible is None for figure in figures.values() for trace in figure.data)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no figure is called 'Q'; there are X, Y, Z"):
        plots.choose(figures, first="Q")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one"):
        plots.choose({})


def test_a_button_of_a_menu_leaves_nothing_of_the_figure_before() -> None:
    days = pd.bdate_range("2012-01-03", periods=300)
    value = pd.Series(100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 300))), days)
    bars = pd.DataFrame({"date": days, "volume": 1.0} | dict.fromkeys(("open", "high", "low", "close"), value.values))
    figures = {"tails": plots.return_distribution(value), "line": plots.lines(value.to_frame("A"), unit="of 100")}
    figures["volume"] = plots.candlestick(bars)
    _, line, volume = (button.args[1] for button in plots.choose(figures).layout.updatemenus[0].buttons)
    assert figures["tails"].layout.shapes
    assert (line["shapes"], line["annotations"]) == ([], [])
    assert volume["yaxis2"]
    assert line["yaxis2"] == {"visible": False, "overlaying": "y"}


@pytest.mark.browser
def test_in_a_browser_the_menu_shows_the_other_figure(tmp_path: Path) -> None:
    if find() is None:
        pytest.skip("no Chromium on this machine, so the menu was not used in a browser")
    path = tmp_path / "menu.html"
    plots.choose(figures_of("XY")).write_html(path)  # type: ignore[arg-type]
    with browser(tmp_path / "chromium") as page:
        page.open(path.as_uri(), width=900)
        page.wait_for("document.querySelector('.updatemenu-header') !== null")
        for part in (".updatemenu-header", ".updatemenu-dropdown-button:nth-of-type(2)"):
            page.wait_for(f"document.querySelector('{part}') !== null")
            x, y = page.ask(
                f"(() => {{ const box = document.querySelector('{part}').getBoundingClientRect();"
                " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
            )
            for kind in ("mousePressed", "mouseReleased"):
                page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        shown = "document.querySelector('.js-plotly-plot').data.filter((t) => t.visible).map((t) => t.name)"
        page.wait_for(f"{shown}[0] === 'Y'")
        assert page.ask("document.querySelector('.js-plotly-plot').layout.yaxis.range[1]") > 220
        assert page.errors == []
