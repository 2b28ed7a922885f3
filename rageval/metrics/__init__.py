"""Metrics: pure functions from records to values."""
