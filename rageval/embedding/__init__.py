"""Texts -> vectors: models, their ONNX exports, and the vectors that are kept."""
