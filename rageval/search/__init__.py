"""Retrievers: indexes (embedded, Elasticsearch), embeddings, fusion."""
