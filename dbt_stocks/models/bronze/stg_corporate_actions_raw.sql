with landed as (

    select * from {{ source("raw", "corporate_actions") }}

),

renamed as (

    select
        {{ json_text("symbol") }} as symbol,
        {{ json_text("kind") }} as kind,
        {{ json_date("date") }} as action_date,
        {{ json_date("checked_to") }} as checked_to,
        {{ json_as("double", "from_factor") }} as from_factor,
        {{ json_as("double", "to_factor") }} as to_factor,
        {{ json_as("double", "amount") }} as amount,
        {{ origin_columns() }}
    from landed

)

select * from renamed
