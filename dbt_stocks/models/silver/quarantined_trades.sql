{{ config(materialized="view", meta={"spans": "quote_date"}) }}

{{ refused_events("int_trade_events") }}
