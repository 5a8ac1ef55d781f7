{# Every message of this bronze model is one of the model's events. Whole tables: the tag keeps it out of a micro-batch,
   of which the ledger's check before a publish asks the same about the new loads alone. #}
{% test has_every_message(model, messages) %}
    {{ config(tags=["whole_tables"]) }}
    {{ missing_events(messages, model) }}
{% endtest %}


{# The states of this model count each event once: as many as there are, by symbol and day. #}
{% test counts_every_event(model, events) %}
    {{ config(tags=["whole_tables"]) }}
    {{ miscounted_states(model, events) }}
{% endtest %}
