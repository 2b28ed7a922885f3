"""The monitoring database, and whoever is told of alerts."""
