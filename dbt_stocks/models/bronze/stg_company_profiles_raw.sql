with landed as (

    select * from {{ source("raw", "company_profiles") }}

),

renamed as (

    select
        {{ json_text("symbol") }} as symbol,
        {{ json_text("profile.name") }} as company_name,
        {{ json_text("profile.exchange") }} as exchange,
        {{ json_text("profile.country") }} as country,
        {{ json_text("profile.currency") }} as currency,
        {{ json_text("profile.finnhubIndustry") }} as finnhub_industry,
        {{ json_date("profile.ipo") }} as ipo_date,
        {{ json_as("double", "profile.shareOutstanding") }} as shares_outstanding_millions,
        {{ json_text("profile.weburl") }} as web_url,
        {{ origin_columns() }}
    from landed

)

select * from renamed
