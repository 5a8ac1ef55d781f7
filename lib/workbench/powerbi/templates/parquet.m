{# The Parquet files of `stocks export`, each read whole: there is no window to bound it with. #}
{% macro file(name) %}Parquet.Document(File.Contents(DataFolder & "\{{ name }}.parquet")){% endmacro %}
let
{% if table.name == "quarantine" %}
	All = Table.Combine({
{%- for kind in quarantined -%}
Table.AddColumn(Table.SelectColumns({{ file("quarantined_" ~ kind) }}, {"reason"}), "kind", each {{ kind | text }}, type text)
{{- ", " if not loop.last }}
{%- endfor %}}),
	Counted = Table.Group(All, {"kind", "reason"}, {{ "{{" }}"refused_rows", each Table.RowCount(_), Int64.Type}})
in
	Counted
{%- else %}
{% set last = "WithFactor" if table.name == "gold_candlestick" else "Source" %}
	Source = {{ file(table.name) }},
{% if table.name == "gold_candlestick" %}
{# A session lies within one UTC day, so a bar's UTC date is its New York date. It opens at 09:30, minute 570. #}
	Dated = Table.AddColumn(Source, "candle_date", each Date.From([candle_time]), type date),
	Days = Table.SelectColumns({{ file("dim_date") }}, {"calendar_date", "session_open"}),
	WithSession = Table.Join(Dated, "candle_date", Days, "calendar_date", JoinKind.LeftOuter),
	Timed = Table.AddColumn(WithSession, "minute_of_day", each if [resolution] = "1d" or [session_open] = null then null else 570 + Number.RoundDown(Duration.TotalMinutes([candle_time] - [session_open])), Int64.Type),
	Factors = Table.SelectColumns({{ file("fact_daily_stock_quotes") }}, {"symbol", "quote_date", "split_factor"}),
	Renamed = Table.RenameColumns(Factors, {{ "{{" }}"symbol", "factor_symbol"}, {"quote_date", "factor_date"{{ "}}" }}),
	WithFactor = Table.Join(Timed, {"symbol", "candle_date"}, Renamed, {"factor_symbol", "factor_date"}, JoinKind.LeftOuter),
{% endif %}
	Columns = Table.SelectColumns({{ last }}, {{ "{" }}{{ table.columns | map(attribute="name") | map("text") | join(", ") }}})
in
	Columns
{%- endif %}
