"""Evaluate a RAG system: documents -> index -> retrieval -> answers -> scores -> report."""

__version__ = "0.1.0"
