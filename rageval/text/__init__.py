"""Texts of others -> texts that can be compared, searched, and shown on a terminal, in CSV or in a prompt."""
