"""Answers in columns: Arrow from Snowflake in; what the local warehouse would have given out.

The same question gives the same frame on both engines: lower-case names, decimals as floats, dates and instants to the
microsecond. Whole numbers stay whole where there is none missing, and are floats where there is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def to_table(answer: Any) -> "pa.Table":
    """An Arrow table whose columns pandas takes as an analyst expects them; empty where there was no answer."""
    import pyarrow as pa

    if answer is None:
        return pa.table({})
    columns = [_column(answer.column(number)) for number in range(answer.num_columns)]
    return pa.table(columns, names=[name.lower() for name in answer.column_names])


def _column(values: Any) -> Any:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_decimal(kind):
        return values.cast(pa.int64() if kind.scale == 0 and kind.precision <= 18 else pa.float64())
    if pa.types.is_integer(kind) and not pa.types.is_int64(kind):
        return values.cast(pa.int64())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us"))
    return values
