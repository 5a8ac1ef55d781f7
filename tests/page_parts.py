"""What tests read out of a page that the report or a tear sheet wrote."""

import base64
import gzip
import json
import math
import re
from typing import Any

import numpy as np

SCROLL_THROUGH = """(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 300) {
        scrollTo({top: y, behavior: "instant"});
        await new Promise((done) => setTimeout(done, 30));
    }
})()"""


def own_text(page: str) -> str:
    """The page without the library that it carries."""
    return re.sub(r"<script>/\*\*\s*\* plotly\.js.*?</script>", "", page, flags=re.S)


def json_in(page: str, name: str) -> dict[str, Any]:
    """The JSON of a script element, packed or not."""
    found = re.search(rf'<script type="application/(json|gzip)" id="data-{name}">(.*?)</script>', page, re.S)
    assert found
    return dict(json.loads(found.group(2) if found.group(1) == "json" else unpacked(found.group(2))))


def packed_in(page: str, name: str) -> str:
    """The JSON text of a packed script element."""
    return unpacked(page.split(f'id="data-{name}">')[1].split("<")[0])


def unpacked(text: str) -> str:
    """What ``shell.packed`` packed, as JSON text."""
    return gzip.decompress(base64.b64decode(text)).decode()


def plotly_numbers(values: Any) -> list[float]:
    """The numbers of a trace, which plotly.py may write as base64 of their bytes."""
    if isinstance(values, dict):
        return list(np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]))
    return [math.nan if value is None else value for value in values]
