"""A key that stands twice in an object is found wherever it is, and nothing else is taken for one."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklib.pipeline.landing.json_keys import repeated_key


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'{"c":0,"c":1}', "c"),
        (b'{"symbol":"X1","symbol":"AAPL"}', "symbol"),
        (b'{"c" :0,\r\n"c"\t: 1}', "c"),
        (b'{"a":{"b":[1,{"x":1,"y":{},"x":2}]}}', "x"),
        (b'{"c":1,"\\u0063":2}', "c"),
        (b'{"\\"":1,"\\"":2}', '"'),
        (b'{"":1,"":2}', ""),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b',"a":1}', "a"),
    ],
)
def test_a_key_that_stands_twice_is_found(value: bytes, key: str) -> None:
    assert repeated_key(value, orjson.loads(value)) == key


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner))))
def test_keys_that_differ_are_no_repetition(record: dict[str, Any]) -> None:
    for nested in (record, {"record": record, "list": [record, record], "colon": ':"record":', "\\": "\\"}):
        try:
            parsed = orjson.loads(json.dumps(nested))
        except orjson.JSONDecodeError:
            continue  # a lone surrogate, which no strict parser takes
        assert repeated_key(json.dumps(nested).encode(), parsed) is None
        assert repeated_key(json.dumps(nested, indent=2, ensure_ascii=False).encode(), parsed) is None
