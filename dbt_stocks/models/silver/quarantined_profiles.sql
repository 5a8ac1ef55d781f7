{{ config(materialized="view") }}

{{ refused_lines(
    "stg_company_profiles_raw",
    ["symbol", profile_fault() ~ " as reason", "company_name", "shares_outstanding_millions"]
) }}
