"""A browser for the pages that are written."""

from collections.abc import Iterator

import chromium
import pytest


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    """A tab of a Chromium of its own."""
    if chromium.find() is None:
        pytest.skip("no Chromium on this machine, so the page was not looked at in a browser")
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
