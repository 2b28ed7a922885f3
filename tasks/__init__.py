"""Prefect tasks: how Prefect runs a step; thin wrappers around `rageval`."""
