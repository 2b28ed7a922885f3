"""Answers -> scores: computed, asked of judges, chosen in pairs."""
