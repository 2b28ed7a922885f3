"""Attacks: one file a door, each tried as a stranger would, against the real thing behind it."""
