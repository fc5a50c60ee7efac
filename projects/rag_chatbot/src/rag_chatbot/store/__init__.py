"""Documents, chunks and vectors in SQLite, the Chroma index that follows them, access rules."""
