"""The team and its runs."""
