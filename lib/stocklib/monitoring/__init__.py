"""Monitoring: heartbeats of running processes, which of them are alarms, and Prometheus metrics."""
