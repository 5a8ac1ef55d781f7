{# Snowflake: choosing columns and the window of an incremental refresh become SQL. Power BI asks for credentials. #}
let
	Source = Snowflake.Databases(SnowflakeServer, SnowflakeWarehouse, [Role = SnowflakeRole, Implementation = "2.0"]),
	Database = Source{[Name = SnowflakeDatabase, Kind = "Database"]}[Data],
{% if table.name == "quarantine" %}
	Rows = Value.NativeQuery(Database, "
{%- filter one_line %}
{% for kind in quarantined %}
select '{{ kind }}' as KIND, REASON, count(*) as REFUSED_ROWS
from " & SilverSchema & ".QUARANTINED_{{ kind | upper }}
group by 2
{{ "union all" if not loop.last }}
{% endfor %}
{% endfilter %}
", null, [EnableFolding = true])
in
	Rows
{%- else %}
{% if table.name == "gold_candlestick" %}
{# A bar of a day starts at 00:00 UTC of its date, any other at its instant. #}
{% set local = "convert_timezone('UTC', '" ~ new_york ~ "', c.CANDLE_TIME)" %}
{% set date = "case when c.RESOLUTION = '1d' then cast(c.CANDLE_TIME as date) else cast(" ~ local ~ " as date) end" %}
	Rows = Value.NativeQuery(Database, "
{%- filter one_line %}
select
    c.*,
    {{ date }} as CANDLE_DATE,
    case when c.RESOLUTION <> '1d' then hour({{ local }}) * 60 + minute({{ local }}) end as MINUTE_OF_DAY,
    f.SPLIT_FACTOR
from " & GoldSchema & ".GOLD_CANDLESTICK c
left join " & GoldSchema & ".FACT_DAILY_STOCK_QUOTES f
    on f.SYMBOL = c.SYMBOL and f.QUOTE_DATE = {{ date }}
{% endfilter %}
", null, [EnableFolding = true]),
{% else %}
	Schema = Database{[Name = {{ table.schema | capitalize }}Schema, Kind = "Schema"]}[Data],
	Rows = Schema{[Name = {{ table.name | upper | text }}, Kind = "Table"]}[Data],
{% endif %}
	Columns = Table.SelectColumns(Rows, {{ "{" }}{{ table.columns | map(attribute="name") | map("upper") | map("text") | join(", ") }}})
{%- if table.refresh %}
{% set when = table.refresh.column | upper %}
{% set bound = "Date.From(%s)" if table.column(table.refresh.column).is_date else "%s" %},
	Window = Table.SelectRows(Columns, each [{{ when }}] >= {{ bound % "RangeStart" }} and [{{ when }}] < {{ bound % "RangeEnd" }})
in
	Window
{%- else %}

in
	Columns
{%- endif %}
{%- endif %}
