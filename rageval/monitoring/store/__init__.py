"""The monitoring database."""
