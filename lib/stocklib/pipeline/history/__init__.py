"""History: a source of daily bars → the lake. ``backfill`` fetches a range of dates, ``daily`` one trade date."""

from stocklib.pipeline.history.daily_history import backfill, daily, open_history

__all__ = ["backfill", "daily", "open_history"]
