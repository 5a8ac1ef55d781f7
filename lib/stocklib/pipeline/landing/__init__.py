"""Landing: Kafka → the lake. ``land`` writes each batch of messages as one object, then commits its offsets."""

from stocklib.pipeline.landing.lander import LandedBatch, LandResult, land

__all__ = ["LandResult", "LandedBatch", "land"]
