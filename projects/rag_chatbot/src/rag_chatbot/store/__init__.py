"""Documents and chunks in SQLite, their vectors in Chroma, access rules."""
