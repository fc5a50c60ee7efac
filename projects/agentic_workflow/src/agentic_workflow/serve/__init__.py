"""HTTP API, page and terminal output."""
