{{ config(unique_key=["object_key", "line_no"]) }}

{{ action_checks("checked") }}
