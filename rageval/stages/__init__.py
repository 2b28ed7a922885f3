"""Stages: what one step of the pipeline does, from adapters and pure functions, without Prefect."""
