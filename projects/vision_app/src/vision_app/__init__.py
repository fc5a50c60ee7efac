"""Understands images offline: classification, OCR, fields of documents, search, explanations."""

__version__ = "0.1.0"
