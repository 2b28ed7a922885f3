"""Monitoring, pure: what is kept of conversations, and what their figures say over time."""
