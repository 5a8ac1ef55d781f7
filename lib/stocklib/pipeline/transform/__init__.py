"""Transform: RAW → gold. dbt builds and tests; ``transform`` publishes only when every test passed."""

from stocklib.pipeline.transform.builds import RebuildSummary, TransformSummary, rebuild, run_dbt, transform
from stocklib.pipeline.transform.loader_loop import follow

__all__ = ["RebuildSummary", "TransformSummary", "follow", "rebuild", "run_dbt", "transform"]
