"""What tests read out of a page that the report or a tear sheet wrote."""

import json
import re

SCROLL_THROUGH = """(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 300) {
        scrollTo({top: y, behavior: "instant"});
        await new Promise((done) => setTimeout(done, 30));
    }
})()"""


def own_text(page: str) -> str:
    """The page without the library that it carries."""
    return re.sub(r"<script>/\*\*\s*\* plotly\.js.*?</script>", "", page, flags=re.S)


def json_in(page: str, name: str) -> dict[str, object]:
    found = re.search(rf'<script type="application/json" id="data-{name}">(.*?)</script>', page, re.S)
    assert found
    return dict(json.loads(found.group(1)))
