"""Answers questions over a database."""
