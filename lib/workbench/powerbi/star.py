"""From dbt and the published warehouse to a star: which tables, which columns, what refers to what.

Every table of gold is taken as it is, the symbols from silver, and from ops what says how good the data is. Names and
descriptions are dbt's, types are those of the published tables. A column that dbt relates to a dimension somewhere
relates to it wherever it stands.
"""

from collections.abc import Mapping

from stocklib.errors import WarehouseError
from stocklib.warehouse.described import Described
from stocklib.warehouse.published import ops_tables
from workbench.powerbi.model import Column, Hierarchy, Refresh, Relationship, Table, kind_of

# The columns of each published table with their types, by its schema and name.
Types = Mapping[tuple[str, str], Mapping[str, str]]
CALENDAR, SYMBOLS, MINUTES = "dim_date", "dim_stock_symbols", "dim_time"
CANDLES = "gold_candlestick"

_MORE_RELATIONSHIPS = (
    Relationship("dim_corporate_action", "date", CALENDAR, "calendar_date"),
    Relationship(CANDLES, "candle_date", CALENDAR, "calendar_date"),
    Relationship(CANDLES, "minute_of_day", MINUTES, "minute_of_day"),
)
# What the queries of the candles add: keys of the dimensions, and the basis of each bar's prices.
ADDED = {
    CANDLES: (
        Column("candle_date", "dateTime", "The New York trading date of the bar.", is_date=True, hidden=True),
        Column(
            "minute_of_day",
            "int64",
            "The New York minute at which the bar starts; empty for bars of a day.",
            hidden=True,
        ),
        Column("split_factor", "double", "What the bar's prices are divided by to be on today's basis.", hidden=True),
    )
}
_SORT_BY = {"month_name": "month", "day_name": "day_of_week", "time_of_day": "minute_of_day"}
_HIERARCHIES = {
    CALENDAR: Hierarchy(
        "Calendar",
        (("Year", "year"), ("Quarter", "quarter"), ("Month", "month_name"), ("Date", "calendar_date")),
        "Years, quarters, months, dates.",
    ),
    SYMBOLS: Hierarchy(
        "Sector and industry",
        (("Sector", "sector"), ("Industry", "industry"), ("Symbol", "symbol")),
        "Sectors, industries, symbols.",
    ),
}
_REFRESH = {
    "fact_daily_stock_quotes": Refresh("quote_date", keep=30, fresh=10),
    "fact_stock_performance": Refresh("quote_date", keep=30, fresh=10),
    CANDLES: Refresh("candle_time", keep=5, fresh=3),
}
_OPS = ("freshness", "ledger", "pipeline_runs")
# The tables of refused rows, by what they hold.
QUARANTINED = ("quotes", "candles", "trades", "actions", "profiles")
QUARANTINE = Table(
    "quarantine",
    "silver",
    "Rows that silver refused, counted. One row per kind and reason.",
    (
        Column("kind", "string", "What was refused: quotes, candles, trades, actions or profiles."),
        Column("reason", "string", "Why it was refused."),
        Column("refused_rows", "int64", "How many rows.", hidden=True, format="#,0"),
    ),
)


def star(described: Mapping[str, Described], types: Types) -> tuple[tuple[Table, ...], tuple[Relationship, ...]]:
    """Return the tables and how they refer to each other."""
    models = [described[name] for name in sorted(described) if described[name].schema == "gold"]
    relationships = _relationships([*models], described)
    many = {(one.table, one.column) for one in relationships}
    tables = [_table(model, types, many) for model in [*models, described[SYMBOLS]]]
    tables += [_ops_table(name, types) for name in _OPS]
    return (*tables, QUARANTINE), relationships


def _relationships(models: list[Described], described: Mapping[str, Described]) -> tuple[Relationship, ...]:
    refers = {name: to for model in models for name, to in model.refers.items()}
    found = [
        Relationship(model.name, column, *refers[column])
        for model in models
        for column in model.columns
        if column in refers and refers[column][0] in described and refers[column][0] != model.name
    ]
    there = {model.name for model in models}
    found += [one for one in _MORE_RELATIONSHIPS if {one.table, one.to_table} <= there]
    return tuple(sorted(found, key=lambda one: (one.table, one.column)))


def _table(model: Described, types: Types, many: set[tuple[str, str]]) -> Table:
    published = _published(model.schema, model.name, types)
    apart = set(model.columns) ^ set(published)
    if apart:
        raise WarehouseError(
            f"{model.schema}.{model.name} was published by other models than those in dbt_stocks: "
            f"{', '.join(sorted(apart))} stands in one alone; run `stocks transform`"
        )
    single_key = model.key[0] if len(model.key) == 1 else ""
    columns = [
        _column(
            model.name,
            name,
            description,
            published[name],
            many=(model.name, name) in many,
            key=name == single_key and (model.name, name) not in many,
        )
        for name, description in model.columns.items()
    ]
    columns += [column for column in ADDED.get(model.name, ()) if column.name not in published]
    return Table(
        model.name,
        model.schema,
        model.description,
        tuple(columns),
        hierarchy=_HIERARCHIES.get(model.name),
        refresh=_REFRESH.get(model.name),
    )


def _ops_table(name: str, types: Types) -> Table:
    published = _published("ops", name, types)
    about = ops_tables()[name]
    columns = [
        _column(name, column, about["columns"][column], kind, many=False, key=False)
        for column, kind in published.items()
    ]
    return Table(name, "ops", about["description"], tuple(columns))


def _published(schema: str, name: str, types: Types) -> Mapping[str, str]:
    if (schema, name) not in types:
        raise WarehouseError(f"there is no {schema}.{name} yet: run `stocks transform`, or `make demo`")
    return types[schema, name]


def _column(table: str, name: str, description: str, data_type: str, *, many: bool, key: bool) -> Column:
    kind = kind_of(data_type, where=f"{table}.{name}")
    is_date = data_type.upper() == "DATE"
    return Column(
        name,
        kind,
        description,
        is_date=is_date,
        hidden=many,
        key=key,
        format=_format(name, kind, is_date=is_date),
        folder=_folder(table, name, kind, data_type),
        sort_by=_SORT_BY.get(name, ""),
    )


def _format(name: str, kind: str, *, is_date: bool) -> str:
    if kind == "dateTime":
        return "yyyy-mm-dd" if is_date else "yyyy-mm-dd hh:nn:ss"
    if name.endswith("_percent"):
        return '0.00" %"'
    if kind == "int64":
        return "0" if name in ("year", "quarter", "month", "day_of_week", "hour", "minute", "minute_of_day") else "#,0"
    return "#,0.00##" if kind in ("decimal", "double") else ""


def _folder(table: str, name: str, kind: str, data_type: str) -> str:
    if table.startswith("dim_") or kind in ("string", "boolean"):
        return ""
    if name.endswith("_percent"):
        return "Percent"
    if kind == "dateTime":
        return "Times"
    return "Prices" if data_type.upper().startswith(("DECIMAL", "NUMBER")) else "Counts"
