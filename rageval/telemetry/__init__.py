"""Logs and traces of what runs."""
