"""Adapters: everything that touches the outside, one file per outside thing."""
