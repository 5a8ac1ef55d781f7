"""The Power BI project says what dbt and gold say, is the same bytes each time, and is what the checkers call valid."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromium
import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlfluff
from click.testing import CliRunner
from powerbi_project import FOLDER, ROOT, TOOLS, drawn, take_design, wireframe
from recorded_gold import copy

from stocklib import metrics
from stocklib.errors import InputError, WarehouseError
from stocklib.indicators import ema
from stocklib.market import prices
from stocklib.pipeline.exporting import export
from stocklib.plots import PALETTE, template
from stocklib.plots.palette import DOWN, MIDDLE, UP
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import BESIDE_GOLD, open_warehouse
from stocklib.warehouse.described import described_models
from workbench.cli import main
from workbench.powerbi import NAME, project, published_types, write_project
from workbench.powerbi.definition import expected_table, query, role
from workbench.powerbi.design import DESIGN, check_bindings, designed_files, literal
from workbench.powerbi.expected import EMA_WINDOW, Expected, expected_values
from workbench.powerbi.folder import write_folder
from workbench.powerbi.model import Relationship, Table
from workbench.powerbi.star import ADDED, CANDLES, star

DEFINITION = f"{NAME}.SemanticModel/definition"
MEASURES = f"{DEFINITION}/tables/Measures.tmdl"
# the measures that check the others
CHECKING = {"Measured", "Agrees", "Values that differ"}
# not of gold alone, or never the same twice: no value is written down for them, nor for hidden ones
UNCHECKED = {"Freshness", "Runs"}
# the first test loads, transforms and has dbt parse the project
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def files(gold: Settings) -> dict[str, str]:
    return project(gold)


@pytest.fixture(scope="session")
def values(gold: Settings) -> list[Expected]:
    return expected_values(open_warehouse(gold))


@pytest.fixture(scope="session")
def model(gold: Settings) -> tuple[dict[str, Table], tuple[Relationship, ...]]:
    tables, relationships = star(described_models(gold), published_types(open_warehouse(gold)))
    return {table.name: table for table in tables}, relationships


@pytest.fixture(scope="session")
def measures(files: dict[str, str]) -> dict[str, str]:
    """The text of each measure, with its description, by its name."""
    blocks = re.findall(r"(?:^\t///.*\n)?^\tmeasure .*\n(?:\t\t.*\n)*", files[MEASURES], re.M)
    return {re.search(r"measure (?:'([^']+)'|(\w+)) =", one).expand(r"\1\2"): one for one in blocks}  # type: ignore[union-attr]


@pytest.fixture
def folder(files: dict[str, str], tmp_path: Path) -> Path:
    """The project, written where a path has spaces."""
    write_folder(tmp_path / "a folder", files, force=False)
    return tmp_path / "a folder"


def value(values: list[Expected], measure: str, symbol: str = "", **selected: object) -> float:
    found = [one for one in values if (one.measure, one.symbol) == (measure, symbol)]
    return float(next(one.value for one in found if all(getattr(one, k) == v for k, v in selected.items())))


def shown_on(files: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The visuals of each page, as the files hold them."""
    pages = f"{NAME}.Report/definition/pages"
    found: dict[str, list[dict[str, Any]]] = {
        name: [] for name in json.loads(files[f"{pages}/pages.json"])["pageOrder"]
    }
    for path, text in files.items():
        if path.endswith("/visual.json"):
            found[path.removeprefix(f"{pages}/").split("/")[0]].append(json.loads(text))
    return found


# ── what is checked in, and what is written ───────────────────────────────────────────────────────────────────────────


def test_the_checked_in_project_is_that_of_the_models(files: dict[str, str]) -> None:
    stale = [n for n, text in files.items() if not (FOLDER / n).is_file() or (FOLDER / n).read_text("utf-8") != text]
    assert not stale, "run: make powerbi"
    tracked = {
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file() and ".pbi" not in path.parts
    }
    assert tracked - {".written"} == set(files)


def test_the_same_gold_is_the_same_bytes(gold: Settings, files: dict[str, str]) -> None:
    assert project(gold) == files


def test_no_credential_is_in_any_file(gold: Settings) -> None:
    secrets = {
        "SNOWFLAKE_PASSWORD": "hunter2-secret",
        "SNOWFLAKE_TOKEN": "token-secret",
        "POWERBI_CLIENT_SECRET": "c-secret",
    }
    told = read_settings(environ={"STOCKS_HOME": str(gold.home), "SNOWFLAKE_ACCOUNT": "xy123", **secrets})
    told = replace(told, stocks_warehouse="local")
    text = "".join(project(told).values())
    assert "xy123.snowflakecomputing.com" in text
    assert not [secret for secret in secrets.values() if secret in text]


# ── the model ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_table_and_column_of_gold_is_in_the_model(
    gold: Settings, files: dict[str, str], model: tuple[dict[str, Table], tuple[Relationship, ...]]
) -> None:
    tables, _ = model
    types = published_types(open_warehouse(gold))
    for (schema, name), columns in types.items():
        if schema == "gold":
            added = {column.name for column in ADDED.get(name, ())}
            assert {column.name for column in tables[name].columns} == set(columns) | added
    described = described_models(gold)
    kpi = tables["gold_kpi"]
    assert kpi.description == described["gold_kpi"].description
    assert all(column.description for table in tables.values() for column in table.columns)
    written = "".join(text for name, text in files.items() if "/tables/" in name)
    assert not re.search(r"(?<!///)\n\tcolumn", re.sub(r"///.*", "///", written))
    # a fixed decimal where a price fits into it, a double for what is larger than any price
    kinds = {(types["gold", "gold_kpi"][column.name], column.kind) for column in kpi.columns}
    assert {("DECIMAL(18,6)", "decimal"), ("DECIMAL(36,6)", "double")} <= kinds


def test_the_model_is_a_star_with_hidden_keys(model: tuple[dict[str, Table], tuple[Relationship, ...]]) -> None:
    tables, relationships = model
    assert {one.to_table for one in relationships} == {"dim_date", "dim_time", "dim_stock_symbols"}
    related = {(one.table, one.to_table) for one in relationships}
    for fact in ("fact_daily_stock_quotes", "fact_stock_performance", CANDLES):
        assert {(fact, "dim_date"), (fact, "dim_stock_symbols")} <= related
    assert (CANDLES, "dim_time") in related
    for one in relationships:
        assert tables[one.table].column(one.column).hidden  # type: ignore[union-attr]
        assert tables[one.to_table].column(one.to_column).key  # type: ignore[union-attr]
    # the keys are keys: no two ways lead from a table to a dimension
    assert len(related) == len(relationships)


def test_dates_have_no_tables_of_their_own_and_questions_are_off(files: dict[str, str]) -> None:
    assert "annotation __PBI_TimeIntelligenceEnabled = 0" in files[f"{DEFINITION}/model.tmdl"]
    assert "dataCategory: Time" in files[f"{DEFINITION}/tables/dim_date.tmdl"]
    assert json.loads(files[f"{NAME}.SemanticModel/definition.pbism"])["settings"] == {"qnaEnabled": False}


def test_every_measure_is_described_and_has_a_twin(
    files: dict[str, str], values: list[Expected], measures: dict[str, str]
) -> None:
    assert len(measures) == files[MEASURES].count("\n\tmeasure ") > 30
    assert all(re.search(r"^\t/// \w.*\n", one) and "\n\t\tdisplayFolder: " in one for one in measures.values())
    hidden = {name for name, one in measures.items() if "\n\t\tisHidden\n" in one}
    assert {m for m in measures if m not in {one.measure for one in values}} == hidden | UNCHECKED | CHECKING
    # and Power BI is asked for each of them
    assert set(re.findall(r'"([^"]+)", (?:\[\1\]|FORMAT\(\[\1\])', measures["Measured"])) == {m.measure for m in values}


def test_a_role_sees_a_watchlist_whatever_its_symbols_are_called(files: dict[str, str]) -> None:
    wanted = json.loads((ROOT / "config" / "watchlists" / "crypto.json").read_text())["symbols"]
    crypto = files[f"{DEFINITION}/roles/watchlist_crypto.tmdl"]
    assert all(f'"{symbol}"' in crypto for symbol in wanted)
    odd_role = role("odd", ['O"NE'])
    for table in ("dim_stock_symbols", "other_symbol"):
        assert f'\ttablePermission {table} = {table}[symbol] IN {{"O""NE"}}\n' in odd_role
    odd = Expected("Close", 'O"N#(E', "", None, None, "1")
    assert '{"Close", "O""N#(#)(E", "", null, null, "1", 1, 0.0001}' in expected_table([odd])


def without(files: dict[str, str], table: str, defined: str) -> dict[str, str]:
    """The files, less a column or a measure of a table."""
    path = f"{DEFINITION}/tables/{table}.tmdl"
    kept = re.sub(rf"^\t{re.escape(defined)}( =.*)?\n(\t\t.*\n|\n(?=\t\t))*", "", files[path], flags=re.M)
    assert len(kept) < len(files[path])
    return files | {path: kept}


def test_a_column_that_is_gone_names_what_it_breaks(files: dict[str, str]) -> None:
    check_bindings(files)
    with pytest.raises(InputError, match=r"the measure Volatility 30 % reads fact_stock_performance"):
        check_bindings(without(files, "fact_stock_performance", "column volatility_30day_percent"))
    with pytest.raises(InputError, match=r"Market overview: Market cap by sector .* shows dim_stock_symbols\[sector\]"):
        check_bindings(without(files, "dim_stock_symbols", "column sector"))


def test_a_measure_that_is_gone_names_what_it_breaks(files: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"Movers.* shows .*Change %\].*the measure Best symbol reads \[Change %"):
        check_bindings(without(files, "Measures", "measure 'Change %'"))


def test_bindings_are_found_in_what_power_bi_desktop_writes(files: dict[str, str]) -> None:
    """A measure between fences, one with annotations, a measure of the report itself, a level of a hierarchy."""
    fenced = (
        "\n\tmeasure 'It''s new' = ```\n\t\t\tVAR _x = MAX(gold_kpi[%s])\n\n\t\t\tRETURN _x\n\t\t\t```\n"
        '\t\tformatString: [Red]0\n\n\t\tannotation PBI_FormatHint = {"isCustom":true}\n\n\tcolumn'
    )

    def saved(column: str) -> str:
        return files[MEASURES].replace("\n\tcolumn", fenced.replace("%s", column), 1)

    path = f"{NAME}.Report/definition/pages/risk/visuals/risk_drawdown/visual.json"
    source = {"Schema": "extension", "Entity": "Measures"}
    own = {"Measure": {"Expression": {"SourceRef": source}, "Property": "Of the report"}}
    level = {"HierarchyLevel": {"Expression": {"Hierarchy": {"Expression": {"SourceRef": {"Entity": "dim_date"}}}}}}
    nested = {"Column": {"Expression": {"Subquery": {}}, "Property": "made"}}
    body = json.loads(files[path])
    body["visual"]["objects"] = {"more": [own, level, nested]}
    check_bindings(files | {MEASURES: saved("as_of"), path: json.dumps(body)})
    with pytest.raises(InputError, match=r"models: the measure It's new reads gold_kpi\[gone\]$"):
        check_bindings(files | {MEASURES: saved("gone")})


# ── where the rows come from ──────────────────────────────────────────────────────────────────────────────────────────


def test_snowflake_is_asked_for_a_window_and_parquet_is_read_whole(gold: Settings, files: dict[str, str]) -> None:
    for name in ("fact_daily_stock_quotes", "fact_stock_performance", CANDLES):
        text = files[f"{DEFINITION}/tables/{name}.tmdl"]
        assert "refreshPolicy" in text
        assert text.count("RangeStart") == text.count("RangeEnd") == 2
    tables = [text for name, text in project(gold, source="parquet").items() if "/tables/" in name]
    assert not [text for text in tables if "refreshPolicy" in text or "Snowflake.Databases" in text]


def test_the_latest_prices_can_be_asked_of_snowflake_directly(gold: Settings) -> None:
    direct = project(gold, direct=True)
    assert "mode: directQuery" in direct[f"{DEFINITION}/tables/gold_kpi.tmdl"]
    assert "mode: hybrid" in direct[f"{DEFINITION}/tables/{CANDLES}.tmdl"]
    assert "mode: dual" in direct[f"{DEFINITION}/tables/dim_stock_symbols.tmdl"]
    with pytest.raises(InputError, match="only Snowflake"):
        project(gold, source="parquet", direct=True)


def native_sql(text: str) -> str:
    """The SQL within a query of M, its schemas put in."""
    found = re.search(r'NativeQuery\(Database, "(.*)", null', text)
    assert found
    return re.sub(r'" & (\w+)Schema & "', lambda schema: schema[1].upper(), found[1])


@pytest.mark.parametrize("table", [CANDLES, "quarantine"])
def test_the_sql_within_m_is_snowflakes(files: dict[str, str], table: str) -> None:
    # raises on what it cannot parse
    assert sqlfluff.parse(native_sql(files[f"{DEFINITION}/tables/{table}.tmdl"]) + "\n", dialect="snowflake")


def test_a_candle_is_dated_by_new_york_from_either_source(
    gold: Settings, files: dict[str, str], tmp_path: Path
) -> None:
    theirs = copy(gold, tmp_path)
    with duckdb.connect(theirs.home / "warehouse" / "published.duckdb") as con:
        # the one function that DuckDB calls otherwise
        con.execute("create macro convert_timezone(a, b, c) as timezone(b, timezone(a, c))")
        dated = con.execute(native_sql(files[f"{DEFINITION}/tables/{CANDLES}.tmdl"])).df().rename(columns=str.lower)
        days = con.execute("select calendar_date, session_open, session_close from gold.dim_date").df()
    assert dated["split_factor"].notna().all()
    daily = dated[dated["resolution"] == "1d"]
    assert (daily["candle_date"] == daily["candle_time"].dt.normalize()).all()
    assert daily["minute_of_day"].isna().all()
    within = dated[dated["resolution"] != "1d"].merge(days, left_on="candle_date", right_on="calendar_date")
    local = within["candle_time"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    assert len(within) > 100
    assert (within["candle_date"].dt.date == local.dt.date).all()
    assert (within["minute_of_day"] == local.dt.hour * 60 + local.dt.minute).all()
    # over Parquet, M counts from the opening, and takes the UTC date
    assert (
        within["minute_of_day"] == 570 + (within["candle_time"] - within["session_open"]) // pd.Timedelta("1min")
    ).all()
    sessions = days.dropna()
    opening = sessions["session_open"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    assert set(opening.dt.strftime("%H:%M")) == {"09:30"}
    assert (sessions["session_open"].dt.normalize() == sessions["calendar_date"]).all()
    assert (sessions["session_close"].dt.normalize() == sessions["calendar_date"]).all()


def test_the_columns_that_m_asks_for_are_in_the_exported_files(gold: Settings, tmp_path: Path) -> None:
    columns = {path.stem: set(pq.read_schema(path).names) for path in export(gold, tmp_path)}
    assert {name.split(".")[1] for name in BESIDE_GOLD} <= set(columns)
    asked = 0
    for name, text in project(gold, source="parquet").items():
        if "/tables/" not in name:
            continue
        assert "RangeStart" not in text
        for read, chosen in re.findall(r'SelectColumns\(Parquet[^"]*"\\(\w+)\.parquet"\)\), \{([^}]*)\}', text):
            assert set(re.findall(r'"(\w+)"', chosen)) <= columns[read]
            asked += 1
        whole = re.search(r'Source = Parquet[^"]*"\\(\w+)\.parquet"', text)
        if whole:
            final = re.search(r"Columns = Table.SelectColumns\(\w+, \{([^}]*)\}", text)
            assert final
            added = {column.name for column in ADDED.get(whole[1], ())}
            assert set(re.findall(r'"(\w+)"', final[1])) <= columns[whole[1]] | added
            asked += 1
    assert asked == 12 + 7


# ── the numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_expected_values_are_those_of_the_library(gold: Settings, values: list[Expected]) -> None:
    closes = prices("MSFT", settings=gold).set_index("date")["close"]
    assert value(values, "Volatility 30 %", "MSFT", last=None) == pytest.approx(metrics.volatility(closes), abs=1e-6)
    assert value(values, "Drawdown %", "MSFT", last=None) == pytest.approx(metrics.drawdown(closes).iloc[-1], abs=1e-6)
    indexed = 100 + metrics.total_return(closes)
    assert value(values, "Indexed to 100", "MSFT") == pytest.approx(indexed, abs=1e-6)
    pair = pd.DataFrame(
        {s: metrics.returns(prices(s, settings=gold).set_index("date")["close"]) for s in ("MSFT", "IBM")}
    ).dropna()
    assert value(values, "Correlation", "MSFT", other="IBM") == pytest.approx(pair["MSFT"].corr(pair["IBM"]), abs=1e-4)


def test_the_exponential_mean_as_dax_sums_it_is_that_of_the_library() -> None:
    """The closed form over at most 250 bars, as the measure has it, against the recursion over all."""
    closes = pd.Series(100 + np.random.default_rng(7).normal(size=900).cumsum())
    rest, bars = 1 - 2 / (EMA_WINDOW + 1), 250
    for count in (EMA_WINDOW, 100, bars, 900):
        kept = closes.iloc[:count].tail(bars).to_numpy()
        begun, later = kept[:EMA_WINDOW], kept[EMA_WINDOW:]
        ages = np.arange(len(later))[::-1]
        summed = begun.mean() * rest ** len(later) + (later * (1 - rest) * rest**ages).sum()
        assert summed == pytest.approx(ema(closes.iloc[:count], EMA_WINDOW).iloc[-1], rel=1e-9)


def test_a_value_has_its_row_in_the_csv_and_in_the_model(files: dict[str, str], values: list[Expected]) -> None:
    rows = files["expected_values.csv"].splitlines()
    assert rows[0] == "measure,symbol,other,first_date,last_date,expected"
    assert len(rows) == len(values) + 1
    assert "Close,AAPL,,,,509.794" in rows
    assert files[f"{DEFINITION}/tables/expected_values.tmdl"].count('\t{"') == len(values)


def test_a_number_is_compared_as_a_number_whatever_the_language(files: dict[str, str], values: list[Expected]) -> None:
    texts = {one.measure for one in values if one.number is None and one.value}
    assert texts == {"As of", "Last bar", "Best symbol", "Worst symbol"}
    assert next(one for one in values if one.measure == "Close").number == 509.794
    cap = next(one for one in values if one.measure == "Market cap")
    assert cap.number is not None
    # each of its decimals is cut after four digits
    assert cap.tolerance == pytest.approx(cap.number * 1e-9)
    dax = files[MEASURES]
    assert not re.search(r"\bVALUE\(", dax)
    assert dax.count("FORMAT(") == dax.count('"en-US")') == 4


# ── the report ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_visual_overlaps_another_or_leaves_its_page(files: dict[str, str]) -> None:
    for page, visuals in shown_on(files).items():
        size = json.loads(files[f"{NAME}.Report/definition/pages/{page}/page.json"])
        boxes = [(v["name"], *(v["position"][part] for part in ("x", "y", "width", "height"))) for v in visuals]
        assert len(boxes) > 4
        assert all(x >= 0 and y >= 0 and x + w <= size["width"] and y + h <= size["height"] for _, x, y, w, h in boxes)
        for number, (one, x, y, w, h) in enumerate(boxes):
            for other, x2, y2, w2, h2 in boxes[number + 1 :]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, (page, one, other)


def test_each_visual_says_what_it_shows_and_has_a_place_on_the_phone(files: dict[str, str]) -> None:
    for name, text in files.items():
        if not name.endswith("/visual.json"):
            continue
        shown = json.loads(text)["visual"]["visualContainerObjects"]
        alt = shown["general"][0]["properties"]["altText"]["expr"]["Literal"]["Value"]
        assert len(alt) > len("''")
        assert name.replace("visual.json", "mobile.json") in files


def test_light_and_dark_have_the_palette_of_the_figures(files: dict[str, str]) -> None:
    for look, dark in (("stocks", False), ("stocks-dark", True)):
        theme = json.loads(files[f"{NAME}.Report/StaticResources/RegisteredResources/{look}.json"])
        layout = template(dark=dark).layout
        assert theme["dataColors"] == list(layout.colorway) == list(PALETTE)
        assert (theme["foreground"], theme["background"]) == (layout.font.color, layout.paper_bgcolor)
        assert (theme["good"], theme["center"], theme["bad"]) == (UP, MIDDLE, DOWN)
    for page, visuals in shown_on(files).items():
        assert set(re.findall(r"#[0-9a-fA-F]{6}\b", json.dumps(visuals))) <= {*PALETTE, MIDDLE}, page


def test_the_report_opens_at_its_symbol_whatever_it_is_called() -> None:
    for symbol in ("AAPL", 'Sotheby\'s "<b>" ' + "X" * 300):
        slicers = [
            visual["visual"]["objects"]["general"][0]["properties"]["filter"]["filter"]["Where"][0]["Condition"]["In"]
            for visual in shown_on(designed_files(symbol=symbol, look="dark"))["candlestick"]
            if visual["name"] == "candles_symbol"
        ]
        assert [slicer["Values"] for slicer in slicers] == [[[literal(symbol)]]]
    assert literal("Sotheby's") == {"Literal": {"Value": "'Sotheby''s'"}}


def test_a_symbol_is_drilled_through_to_its_page(files: dict[str, str]) -> None:
    page = json.loads(files[f"{NAME}.Report/definition/pages/symbol/page.json"])
    assert page["pageBinding"]["type"] == page["type"] == "Drillthrough"
    assert page["pageBinding"]["parameters"][0]["fieldExpr"]["Column"]["Property"] == "symbol"
    back = json.loads(files[f"{NAME}.Report/definition/pages/symbol/visuals/symbol_back/visual.json"])["visual"]
    assert back["visualContainerObjects"]["visualLink"][0]["properties"]["type"] == {"expr": literal("Back")}


def test_what_power_bi_desktop_saved_becomes_the_design(folder: Path, tmp_path: Path) -> None:
    design = tmp_path / "design"
    shutil.copytree(DESIGN, design)
    pages = f"{NAME}.Report/definition/pages"
    page = folder / pages / "risk" / "page.json"
    page.write_text(page.read_text(encoding="utf-8").replace('"Risk"', '"Risks"'), encoding="utf-8")
    shutil.rmtree(folder / pages / "comparison")
    shutil.copytree(folder / pages / "quality", folder / pages / "added")
    (folder / f"{NAME}.Report" / ".pbi").mkdir()
    (folder / f"{NAME}.Report" / ".pbi" / "localSettings.json").write_text("{}")
    take_design(folder, design)
    assert '"Risks"' in (design / pages / "risk" / "page.json").read_text(encoding="utf-8")
    assert {path.name for path in (design / pages).iterdir() if path.is_dir()} == {
        *("overview", "candlestick", "risk", "quality", "symbol", "added")
    }
    names = {path.relative_to(design).as_posix() for path in design.rglob("*") if path.is_file()}
    there = {path.relative_to(DESIGN).as_posix() for path in DESIGN.rglob("*") if path.is_file()}
    assert not [name for name in names if ".pbi/" in name]
    # of the semantic model only what is designed, no table that is made from dbt
    assert {name for name in names ^ there if "/pages/" not in name} == set()


# ── what others say of it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_every_json_file_is_valid_against_microsofts_schemas(folder: Path) -> None:
    schemas = os.environ.get("POWERBI_SCHEMAS", "")
    if not schemas:
        pytest.skip("POWERBI_SCHEMAS names no folder with Microsoft's schemas (github.com/microsoft/json-schemas)")
    command = [sys.executable, str(Path(schemas) / "check_pbip.py")]
    said = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    # and it does find what is wrong
    visual = next(folder.rglob("visual.json"))
    visual.write_text(visual.read_text().replace('"visualType"', '"visualKind"'))
    assert subprocess.run([*command, str(visual.parent)], capture_output=True, check=False).returncode == 1


def test_every_file_names_the_newest_schema_there(files: dict[str, str]) -> None:
    schemas = os.environ.get("POWERBI_SCHEMAS", "")
    if not schemas:
        pytest.skip("POWERBI_SCHEMAS names no folder with Microsoft's schemas (github.com/microsoft/json-schemas)")
    named = {json.loads(t)["$schema"] for n, t in files.items() if '"$schema"' in t}
    for address in named:
        kind, version = address.split("json-schemas/")[1].removesuffix("/schema.json").rsplit("/", 1)
        there = [path.name for path in (Path(schemas) / kind).iterdir()]
        assert version == max(there, key=lambda text: [int(part) for part in text.split(".")]), address


def test_tmdl_says_what_was_meant(
    files: dict[str, str],
    folder: Path,
    model: tuple[dict[str, Table], tuple[Relationship, ...]],
    measures: dict[str, str],
    tmp_path: Path,
) -> None:
    for part in ("tables", "."):
        command = [str(TOOLS / "tmdl-to-json"), str(folder / DEFINITION / part), "-o", str(tmp_path / "json")]
        subprocess.run(command, check=True, capture_output=True)
    read = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "json").iterdir()}
    tables, relationships = model
    for table in tables.values():
        found = read[table.name]
        kinds = {column["name"]: column["dataType"] for column in found["columns"]}
        assert kinds == {column.name: column.kind for column in table.columns}
        sorts = {column["name"]: column["sortByColumn"] for column in found["columns"] if "sortByColumn" in column}
        assert sorts == {column.name: column.sort_by for column in table.columns if column.sort_by}
        (partition,) = found["partitions"]
        assert "".join(partition["source"].split()) == "".join(query(table, "snowflake").split())
    said = read["Measures"]["measures"]
    assert [measure["name"] for measure in said] == list(measures)
    for measure in said:
        text = measures[measure["name"]]
        assert "".join(measure["expression"].split()) in "".join(text.split())
        assert measure.get("formatString", "") == "".join(re.findall(r"formatString: (.*)", text))
    for name in ("expected_values", "other_symbol", "Measures"):
        (partition,) = read[name]["partitions"]
        assert "".join(partition["source"].split()) in "".join(files[f"{DEFINITION}/tables/{name}.tmdl"].split())
    assert {column["name"] for column in read["expected_values"]["columns"]} >= {"measure", "expected", "tolerance"}
    ends = {
        (r["fromTable"], r["fromColumnName"], r["toTable"], r["toColumnName"])
        for r in read["relationships"]["relationships"]
    }
    assert ends == {(r.table, r.column, r.to_table, r.to_column) for r in relationships}


def test_pbir_utils_finds_nothing_to_mend(folder: Path) -> None:
    command = [str(TOOLS / "pbir-utils"), "validate", str(folder / f"{NAME}.Report"), "--strict"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert not re.search(r"\[(FAIL|WARN\w*|ERROR)\]", said.stdout), said.stdout


def test_ripbi_resolves_every_binding_and_finds_no_unused_measure(folder: Path) -> None:
    ripbi = shutil.which("ripbi")
    if ripbi is None:
        pytest.skip("ripbi is not on PATH: cargo install ripbi")
    report = subprocess.run(
        [ripbi, "report", str(folder / f"{NAME}.Report")], capture_output=True, text=True, check=False
    )
    assert "All bindings resolve" in report.stdout, report.stdout[-500:]
    scan = subprocess.run([ripbi, "scan", str(folder / f"{NAME}.pbip")], capture_output=True, text=True, check=False)
    assert "Columns (" in scan.stdout
    assert "Measures (" not in scan.stdout, scan.stdout[-1000:]


@pytest.mark.browser
def test_the_wireframe_shows_every_page_whole(folder: Path, files: dict[str, str], tmp_path: Path) -> None:
    pages = shown_on(files)
    if chromium.find() is None:
        pytest.skip("no Chromium on this machine")
    drawing = wireframe(folder / f"{NAME}.Report", tmp_path)
    for name, browser in drawn(drawing, tmp_path / "profile"):
        shown = "[...document.querySelectorAll('.visual-box')].filter(box => box.offsetParent)"
        inside = "box => ((of = box.parentElement.getBoundingClientRect(), at = box.getBoundingClientRect()) =>"
        inside += " at.left >= of.left && at.top >= of.top && at.right <= of.right && at.bottom <= of.bottom)()"
        assert sorted(browser.ask(f"{shown}.map(box => box.dataset.id)")) == sorted(
            visual["name"] for visual in pages[name]
        )
        assert browser.ask(f"{shown}.every({inside})"), name
        assert browser.ask(f"{shown}.every(box => box.scrollWidth <= box.clientWidth + 1)"), name


# ── what can go wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_verb_writes_where_it_is_told_and_says_what_to_open(
    gold: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))
    out = tmp_path / "my reports"
    told = CliRunner().invoke(main, ["powerbi", "--theme", "dark", "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert f"{NAME}.pbip" in told.output
    report = json.loads((out / f"{NAME}.Report/definition/report.json").read_text())
    assert report["themeCollection"]["customTheme"]["name"] == "stocks-dark.json"
    connection = json.loads((out / f"{NAME}.pbids").read_text())["connections"][0]["details"]
    assert connection == {"protocol": "folder", "address": {"path": "C:\\stocks\\export"}}


def test_without_gold_it_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="make demo"):
        write_project(read_settings(environ={"STOCKS_HOME": str(tmp_path)}), tmp_path / "out")


def test_gold_of_other_models_is_refused(gold: Settings, tmp_path: Path) -> None:
    older = copy(gold, tmp_path, "alter table gold.gold_treechart add column new_one integer")
    with pytest.raises(
        WarehouseError, match=r"gold_treechart was published by other models .* new_one .*stocks transform"
    ):
        project(older)


def test_edits_are_not_written_over_and_other_files_stay(files: dict[str, str], folder: Path) -> None:
    write_folder(folder, files, force=False)
    mine, edited = folder / "notes of mine.txt", folder / f"{NAME}.pbip"
    mine.write_text("keep me")
    edited.write_text("{}")
    with pytest.raises(InputError, match=rf"edits of yours: {NAME}.pbip.*--force"):
        write_folder(folder, files, force=False)
    assert edited.read_text() == "{}"
    write_folder(folder, files, force=True)
    assert edited.read_text() == files[f"{NAME}.pbip"]
    assert mine.read_text() == "keep me"


def test_what_is_no_longer_part_of_the_project_is_removed_unless_edited(folder: Path, files: dict[str, str]) -> None:
    fewer = {name: text for name, text in files.items() if "/pages/risk/" not in name}
    write_folder(folder, fewer, force=False)
    assert not (folder / f"{NAME}.Report/definition/pages/risk/page.json").exists()
    (folder / f"{NAME}.pbids").write_text("mine")
    with pytest.raises(InputError, match=r"stocks\.pbids"):
        write_folder(folder, {n: t for n, t in fewer.items() if not n.endswith(".pbids")}, force=False)


def test_a_folder_that_cannot_be_written_is_named(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/out cannot be written.*--out"):
        write_folder(tmp_path / "file" / "out", files, force=False)
