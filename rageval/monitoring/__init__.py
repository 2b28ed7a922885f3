"""Monitoring, pure: what is kept of conversations, and what their metrics say over time."""
