"""One recorded year, built once for all tests of gold: history to the day before, then a streamed session."""

from datetime import date

import pytest
from landed import landed, messages, settings_in
from story import FIRST, Story, history, session_polls


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """History, then the session of 2012-12-14 in three loads, then the same session streamed once more."""
    story = Story(settings_in(tmp_path_factory.mktemp("year")))
    story.tell(*history(FIRST, date(2012, 12, 13), "2012-12-14T14:29", name="backfill"))
    lines = messages(session_polls())
    third = len(lines) // 3
    story.tell(landed("stock_quotes", lines[:third], name="q1", hour="2012-12-14T16"))
    story.note("a third of the session")
    # the second object repeats the end of the first, as after a crash between upload and commit
    story.tell(
        landed("stock_quotes", lines[third - 50 : 2 * third], name="q2", hour="2012-12-14T18"),
        landed("stock_quotes", lines[2 * third :], name="q3", hour="2012-12-14T21"),
    )
    story.note("the session")
    story.tell()
    again = messages(session_polls(), run_id="again", topic_id="topic-2")
    story.tell(landed("stock_quotes", again, name="again", hour="2012-12-15T00"))
    story.note("streamed twice")
    return story
