"""With 500 symbols the report is still one: ten cards, every symbol in the table and on a chart, under 8 MB."""

import re
from pathlib import Path

import chromium
import pytest
import wide_market
from page_parts import SCROLL_THROUGH, json_in, own_text

from stocklib.report import write_report
from stocklib.settings import Settings

# 250,000 bars through the load and the models
pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return wide_market.published(tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="module")
def report(wide: Settings) -> Path:
    return write_report(wide, path=wide.home / "market.html")


def test_it_has_ten_cards_and_every_symbol_in_the_table_and_on_a_chart(report: Path) -> None:
    assert report.stat().st_size < 8_000_000
    page = own_text(report.read_text(encoding="utf-8"))
    assert len(re.findall('class="card kpi"', page)) == 10
    names = [f"S{number:03}" for number in range(500)]
    assert re.findall(r'<th scope="row" data-v="(\w+)"', page) == names
    charts = json_in(page, "charts")
    assert sorted(charts) == names
    assert min(len(chart["daily"]["places"]) for chart in charts.values()) > 200
    places = [page.index(f'id="{name}"') for name in ("breadth", "treemap", "figures", "candles", "comparison")]
    assert places == sorted(places)
    # a price of nearly nothing, one of 700,000, and a company of 4.5e12
    row = dict(re.findall(r'<th scope="row" data-v="(\w+)">(.*?)</tr>', page, re.S))
    assert "0.000100" in row["S001"]
    assert "700,000.00" in row["S002"]
    assert "4.51 T" in row["S000"]


@pytest.mark.browser
@pytest.mark.parametrize("phone", [False, True])
def test_in_a_browser_it_sorts_searches_downloads_and_draws_any_symbol(
    page: chromium.Page, report: Path, tmp_path: Path, *, phone: bool
) -> None:
    page.requests.clear()
    page.errors.clear()
    page.open(report.as_uri(), width=390 if phone else 1440, phone=phone)
    page.ask(SCROLL_THROUGH)
    page.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 7")
    assert page.ask("document.documentElement.scrollWidth") <= (390 if phone else 1440)
    # a header is a button; the largest comes first, and then the smallest
    price = "document.querySelectorAll('#table thead button')[1]"
    first = "document.querySelector('#table tbody th').dataset.v"
    page.ask(f"{price}.click()")
    assert page.ask(f"{price}.parentElement.getAttribute('aria-sort')") == "descending"
    assert page.ask(first) == "S002"
    page.ask(f"{price}.click()")
    assert page.ask(f"{price}.parentElement.getAttribute('aria-sort')") == "ascending"
    assert page.ask(first) == "S001"
    assert page.ask("document.querySelectorAll('#table [aria-sort]').length") == 1
    page.ask("document.getElementById('search').value = 's49'")
    page.ask("document.getElementById('search').dispatchEvent(new Event('input'))")
    assert page.ask("document.querySelectorAll('#table tbody tr:not([hidden])').length") == 10
    assert page.ask("document.getElementById('found').textContent") == "10 of 500"
    # columns stay where they are, and a search without a hit says so
    width = f"Math.round({price}.parentElement.getBoundingClientRect().width)"
    before = page.ask(width)
    page.ask("document.getElementById('search').value = 'zzz'")
    page.ask("document.getElementById('search').dispatchEvent(new Event('input'))")
    assert page.ask("document.getElementById('nothing').checkVisibility()")
    assert page.ask(width) == before
    # a name in the table leads to the chart, and so does a tile of the treemap
    candles = "document.getElementById('candlestick')"
    page.ask("document.querySelector('#table a[data-symbol=S499]').click()")
    page.wait_for(f"{candles}.data?.[0].name === 'S499'")
    page.ask("document.querySelector('[data-figure=treemap]').emit('plotly_treemapclick', {points: [{id: 'S001'}]})")
    page.wait_for(f"{candles}.data?.[0].name === 'S001'")
    assert page.ask(f"{candles}.data[0].close.at(-1)") == 0.0001
    labelled = f"{candles}.layout.annotations.map((each) => each.text)"
    assert "S001 0.00010000" in page.ask(labelled)
    # a hidden line has no label
    labels = "document.querySelector('[data-figure=drawdown]').layout.annotations.length"
    assert page.ask(labels) == 6
    page.ask("void Plotly.restyle(document.querySelector('[data-figure=drawdown]'), {visible: 'legendonly'}, [1])")
    page.wait_for(f"{labels} === 5")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.ask("document.getElementById('download').click()")
    saved = tmp_path / f"market-{wide_market.LAST}.csv"
    for _ in range(100):
        if saved.exists():
            break
        page.ask("new Promise((done) => setTimeout(done, 50))")
    text = saved.read_text(encoding="utf-8-sig")
    assert len(text.splitlines()) == 501
    assert text.startswith("symbol,current_price,")
    # in the order of the table
    assert [line.split(",")[0] for line in (text.splitlines()[1], text.splitlines()[-1])] == ["S001", "S002"]
    assert [each for each in page.requests if not each.startswith(("data:image/", "blob:"))] == [report.as_uri()]
    assert page.errors == []
