"""HTTP API, web page, dynamic batching."""
