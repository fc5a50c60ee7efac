"""HTTP API, web page, dynamic batching, images by URL."""
