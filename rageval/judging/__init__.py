"""Verdicts -> whether their judge can be trusted."""
