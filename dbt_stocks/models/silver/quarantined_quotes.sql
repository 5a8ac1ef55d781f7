{{ config(materialized="view", meta={"spans": "quote_date"}) }}

{{ refused_events("int_quote_events") }}
