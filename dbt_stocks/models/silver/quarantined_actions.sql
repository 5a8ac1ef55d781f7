{{ config(materialized="view") }}

{{ refused_lines(
    "stg_corporate_actions_raw",
    ["symbol", "action_date", "kind", action_fault() ~ " as reason", "from_factor", "to_factor", "amount"]
) }}
