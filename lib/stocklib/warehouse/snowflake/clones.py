"""Publishing on Snowflake: zero-copy clones of the private schemas, swapped in one by one, gold last.

Readers have grants on the clones before these take the old ones' names, so no reader is ever shut out, and a schema is
the old version or the new one, never half. A clone copies nothing but names. Views say ``schema.table`` without a
database, so those of a clone read the clones of their own database.
"""

from collections.abc import Iterator

from stocklib.warehouse.table_columns import SCHEMAS

# gold is what readers look at: what it was made from is there before it
_ORDER = ("raw", "ops", "bronze", "silver", "gold")
assert set(_ORDER) == set(SCHEMAS)
# what an analyst reads; RAW is cloned for the bronze views alone, which read it in their owner's name
_READ = ("ops", "bronze", "silver", "gold")


def statements(build: str, published: str, reader: str) -> Iterator[str]:
    """What shows the version in database ``build`` to the role ``reader`` (empty: no other role) in ``published``."""
    for schema in _ORDER:
        fresh = f"{published}.{schema}_next"
        yield f"create schema if not exists {published}.{schema}"
        yield f"create or replace schema {fresh} clone {build}.{schema}"
        if reader and schema in _READ:
            yield f"grant usage on schema {fresh} to role {reader}"
            yield f"grant select on all tables in schema {fresh} to role {reader}"
            yield f"grant select on all views in schema {fresh} to role {reader}"
    for schema in _ORDER:
        yield f"alter schema {published}.{schema} swap with {published}.{schema}_next"
    for schema in _ORDER:
        yield f"drop schema if exists {published}.{schema}_next"
