"""What a running process reports, and what of it is an alarm: heartbeats, health, Prometheus metrics."""
