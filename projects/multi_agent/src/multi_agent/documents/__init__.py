"""Answers questions from documents."""
