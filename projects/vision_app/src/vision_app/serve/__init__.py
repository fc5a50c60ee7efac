"""HTTP API, web page, and results as text."""
