"""Checks on text, and strangers' input within limits of time and memory."""
