"""Loading: the lake → RAW. ``load`` takes every object that is not loaded yet, in one transaction."""

from stocklib.pipeline.loading.loader import OnProgress, load, load_all

__all__ = ["OnProgress", "load", "load_all"]
