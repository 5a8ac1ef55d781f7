"""Reconcile: count every message and event from the producer to silver. ``balance`` computes the ledger."""

from stocklib.pipeline.reconcile.balance import Balance, Problem
from stocklib.pipeline.reconcile.ledger import balance, record

__all__ = ["Balance", "Problem", "balance", "record"]
