"""Metrics, one file each: what they are called, how they come about, which value is good; and the list of them."""
