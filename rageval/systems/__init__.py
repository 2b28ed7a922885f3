"""Whatever answers a question."""
