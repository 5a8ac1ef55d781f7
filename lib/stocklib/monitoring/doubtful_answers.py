"""Answers of a source that silver does not accept yet: the published version in, one alarm each out.

An answer that lacks more than one split or dividend that its source reported before may be a failure of the source.
Silver keeps counting the known facts until an answer a day later agrees (``stg_corporate_actions_cleaned``).
"""

from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

_TABLE = "stg_corporate_actions_cleaned"


def doubts(settings: Settings) -> list[str]:
    """Return an alarm for each symbol, source and kind in doubt; none where nothing is published."""
    warehouse = open_warehouse(settings)
    if warehouse.published_build() is None:
        return []
    with warehouse.reading() as look:
        # a version of an older release has no such column
        there = look.query(
            "select 1 as one from information_schema.columns "
            "where lower(table_schema) = 'silver' and lower(table_name) = ? and lower(column_name) = 'is_doubted'",
            (_TABLE,),
        )
        if there.empty:
            return []
        found = look.query(
            f"""
            select symbol, kind, data_source, count(*) as facts, min(action_date) as first_date,
                max(action_date) as last_date
            from silver.{_TABLE}
            where is_doubted and not is_retracted
            group by symbol, kind, data_source
            order by symbol, kind, data_source
            """  # noqa: S608 - a constant
        )
    return [
        f"{row.symbol}: the newest answer of {row.data_source} contradicts {row.facts} known {row.kind}s "
        f"({row.first_date:%Y-%m-%d} to {row.last_date:%Y-%m-%d}); they count until an answer a day later agrees: "
        f"ask again with `stocks daily --symbols {row.symbol}`"
        for row in found.itertuples()
    ]
