"""Ingest: Finnhub → Kafka. ``produce`` polls quotes, ``produce_trades`` streams trades from the websocket."""

from stocklib.pipeline.ingest.quote_producer import ProduceResult, produce
from stocklib.pipeline.ingest.trade_producer import TradesResult, produce_trades

__all__ = ["ProduceResult", "TradesResult", "produce", "produce_trades"]
