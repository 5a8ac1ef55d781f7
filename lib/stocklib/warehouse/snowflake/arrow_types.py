"""Answers in columns: Arrow from Snowflake in; the same types as from the local warehouse out.

The same query gives the same frame on both engines: lower-case names, decimals as floats, dates and instants to the
microsecond. Integers and booleans are pandas' nullable ones where some are missing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def to_table(answer: Any) -> "pa.Table":
    """Return an Arrow table with the types that an analyst expects in pandas; empty where there was no answer."""
    import pyarrow as pa

    if answer is None:
        return pa.table({})
    columns = [_column(answer.column(number)) for number in range(answer.num_columns)]
    return pa.table(columns, names=[name.lower() for name in answer.column_names])


def to_exact(answer: Any) -> "pa.Table":
    """Return an Arrow table for files: lower-case names, decimals as decimals, instants to the microsecond."""
    import pyarrow as pa

    columns = [
        values.cast(pa.timestamp("us")) if pa.types.is_timestamp(values.type) else values for values in answer.columns
    ]
    return pa.table(columns, names=[name.lower() for name in answer.column_names])


def to_frame(table: "pa.Table") -> "pd.DataFrame":
    """Return the frame of a table."""
    import pandas as pd
    import pyarrow as pa

    frame: pd.DataFrame = table.to_pandas()
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    for number, column in enumerate(table.columns):
        if column.null_count and column.type in nullable:
            frame.isetitem(number, column.to_pandas(types_mapper=nullable.get))
    return frame


def _column(values: Any) -> Any:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_decimal(kind):
        if kind.scale == 0 and kind.precision <= 18:
            return values.cast(pa.int64())
        # through text, which parses to the nearest float; Arrow's own cast can be one bit off: 26.811999999999998
        return values.cast(pa.string()).cast(pa.float64())
    if pa.types.is_integer(kind) and not pa.types.is_int64(kind):
        return values.cast(pa.int64())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us"))
    return values
