"""Where a table's rows come from, in Power Query's M: Snowflake, or the Parquet files of ``stocks export``.

Snowflake's queries fold: choosing columns and the window of an incremental refresh become SQL. No credential stands in
a query; Power BI asks for it and keeps it. A Parquet file is read whole, so there is no window to bound it with.
"""

from collections.abc import Sequence

from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings
from workbench.powerbi.model import Parameter, Table
from workbench.powerbi.star import ADDED, CANDLES, QUARANTINE

_SCHEMAS = {"gold": "GoldSchema", "silver": "SilverSchema", "ops": "OpsSchema"}
_QUARANTINED = {
    "quotes": "quarantined_quotes",
    "candles": "quarantined_candles",
    "trades": "quarantined_trades",
    "actions": "quarantined_actions",
    "profiles": "quarantined_profiles",
}
_LOCAL_TIME = f"convert_timezone('UTC', '{NEW_YORK.key}', c.CANDLE_TIME)"
# A bar of a day starts at 00:00 UTC of its date, any other at its instant.
_CANDLES_SQL = (  # no value of a user's
    "select c.*, case when c.RESOLUTION = '1d' then cast(c.CANDLE_TIME as date) else "  # noqa: S608
    f"cast({_LOCAL_TIME} as date) end as CANDLE_DATE, "
    "case when c.RESOLUTION <> '1d' then "
    f"hour({_LOCAL_TIME}) * 60 + minute({_LOCAL_TIME}) end as MINUTE_OF_DAY, f.SPLIT_FACTOR "
    'from """ & GoldSchema & """.GOLD_CANDLESTICK c left join """ & GoldSchema & """.FACT_DAILY_STOCK_QUOTES f '
    "on f.SYMBOL = c.SYMBOL and f.QUOTE_DATE = case when c.RESOLUTION = '1d' then cast(c.CANDLE_TIME as date) else "
    f"cast({_LOCAL_TIME} as date) end"
)
# The regular session opens at 09:30, which is minute 570 of the day.
_OPEN_MINUTE = 570


def text(value: str) -> str:
    """A text of M, whatever it holds.

    >>> text('the "best" #(tab) one')
    '"the ""best"" #(#)(tab) one"'
    """
    return '"' + value.replace("#(", "#(#)(").replace('"', '""') + '"'


def parameters(source: str, settings: Settings) -> tuple[Parameter, ...]:
    """What is set where the project is opened. What the settings know already is filled in."""
    if source == "parquet":
        return (Parameter("DataFolder", "C:\\stocks\\export", "The folder that `stocks export` writes to."),)
    account = settings.snowflake_account or "your-account"
    return (
        Parameter("SnowflakeServer", f"{account}.snowflakecomputing.com", "The account's address."),
        Parameter("SnowflakeWarehouse", settings.snowflake_warehouse or "STOCKS_WH", "What runs the queries."),
        Parameter(
            "SnowflakeRole",
            settings.snowflake_role or f"{settings.snowflake_database}_REPORTER",
            "A role that reads the tables.",
        ),
        Parameter("SnowflakeDatabase", settings.snowflake_database, "The database."),
        Parameter("GoldSchema", "GOLD", "The schema of gold."),
        Parameter("SilverSchema", "SILVER", "The schema of the symbols and of what was refused."),
        Parameter("OpsSchema", "OPS", "The schema of the books."),
        Parameter("RangeStart", "2000, 1, 1", "Incremental refresh: the first instant asked for.", "DateTime"),
        Parameter("RangeEnd", "2100, 1, 1", "Incremental refresh: the first instant not asked for.", "DateTime"),
    )


def source_column(name: str, source: str) -> str:
    """What a source calls a column: Snowflake speaks in capitals."""
    return name.upper() if source == "snowflake" else name


def query(table: Table, source: str) -> str:
    """The M that gives a table's rows."""
    if source == "parquet":
        return _let(_quarantined_files() if table.name == QUARANTINE.name else _file(table))
    return _let(_quarantined_sql() if table.name == QUARANTINE.name else _snowflake(table))


def _snowflake(table: Table) -> list[tuple[str, str]]:
    steps = _database()
    if table.name == CANDLES:
        sql = '"' + _CANDLES_SQL.replace('"""', '"') + '"'
        steps.append(("Rows", f"Value.NativeQuery(Database, {sql}, null, [EnableFolding = true])"))
    else:
        schema = _SCHEMAS[table.schema]
        steps += [
            ("Schema", f'Database{{[Name = {schema}, Kind = "Schema"]}}[Data]'),
            ("Rows", f'Schema{{[Name = {text(table.name.upper())}, Kind = "Table"]}}[Data]'),
        ]
    steps.append(("Columns", f"Table.SelectColumns(Rows, {_names(table, 'snowflake')})"))
    if table.refresh:
        column = table.column(table.refresh.column)
        bound = "Date.From({})" if column and column.is_date else "{}"
        name = f"[{table.refresh.column.upper()}]"
        within = f"{name} >= {bound.format('RangeStart')} and {name} < {bound.format('RangeEnd')}"
        steps.append(("Window", f"Table.SelectRows(Columns, each {within})"))
    return steps


def _database() -> list[tuple[str, str]]:
    return [
        (
            "Source",
            'Snowflake.Databases(SnowflakeServer, SnowflakeWarehouse, [Role = SnowflakeRole, Implementation = "2.0"])',
        ),
        ("Database", 'Source{[Name = SnowflakeDatabase, Kind = "Database"]}[Data]'),
    ]


def _quarantined_sql() -> list[tuple[str, str]]:
    parts = [
        f"select '{kind}' as KIND, REASON, count(*) as REFUSED_ROWS "  # noqa: S608 - names are ours
        f'from " & SilverSchema & ".{name.upper()} group by 2'
        for kind, name in _QUARANTINED.items()
    ]
    sql = '"' + " union all ".join(parts) + '"'
    return [*_database(), ("Rows", f"Value.NativeQuery(Database, {sql}, null, [EnableFolding = true])")]


def _file(table: Table) -> list[tuple[str, str]]:
    steps = [("Source", _parquet(table.name))]
    if table.name == CANDLES:
        steps += _dated_candles()
    last = steps[-1][0]
    steps.append(("Columns", f"Table.SelectColumns({last}, {_names(table, 'parquet')})"))
    return steps


def _dated_candles() -> list[tuple[str, str]]:
    """A session lies within one UTC day, so a bar's UTC date is its New York date."""
    minutes = f"{_OPEN_MINUTE} + Number.RoundDown(Duration.TotalMinutes([candle_time] - [session_open]))"
    added = {column.name for column in ADDED[CANDLES]}
    assert added == {"candle_date", "minute_of_day", "split_factor"}
    days = '{"calendar_date", "session_open"}'
    bars = '{{"symbol", "factor_symbol"}, {"quote_date", "factor_date"}}'
    factors = '{"symbol", "quote_date", "split_factor"}'
    return [
        ("Dated", 'Table.AddColumn(Source, "candle_date", each Date.From([candle_time]), type date)'),
        ("Days", f"Table.SelectColumns({_parquet('dim_date')}, {days})"),
        ("WithSession", 'Table.Join(Dated, "candle_date", Days, "calendar_date", JoinKind.LeftOuter)'),
        (
            "Timed",
            'Table.AddColumn(WithSession, "minute_of_day", each if [resolution] = "1d" or [session_open] = null '
            f"then null else {minutes}, Int64.Type)",
        ),
        ("Factors", f"Table.SelectColumns({_parquet('fact_daily_stock_quotes')}, {factors})"),
        ("Renamed", f"Table.RenameColumns(Factors, {bars})"),
        (
            "WithFactor",
            'Table.Join(Timed, {"symbol", "candle_date"}, Renamed, {"factor_symbol", "factor_date"}, '
            "JoinKind.LeftOuter)",
        ),
    ]


def _quarantined_files() -> list[tuple[str, str]]:
    each = [
        f'Table.AddColumn(Table.SelectColumns({_parquet(name)}, {{"reason"}}), "kind", each {text(kind)}, type text)'
        for kind, name in _QUARANTINED.items()
    ]
    counted = '{{"refused_rows", each Table.RowCount(_), Int64.Type}}'
    return [
        ("All", "Table.Combine({" + ", ".join(each) + "})"),
        ("Counted", f'Table.Group(All, {{"kind", "reason"}}, {counted})'),
    ]


def _parquet(name: str) -> str:
    return f'Parquet.Document(File.Contents(DataFolder & "\\{name}.parquet"))'


def _names(table: Table, source: str) -> str:
    return "{" + ", ".join(text(source_column(column.name, source)) for column in table.columns) + "}"


def _let(steps: Sequence[tuple[str, str]]) -> str:
    lines = ",\n".join(f"    {name} = {value}" for name, value in steps)
    return f"let\n{lines}\nin\n    {steps[-1][0]}"
