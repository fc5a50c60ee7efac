"""Find the chunks that match a question: dense and full-text search, fused."""
