"""Help for models too small to decide on tools or to summarise results; delete at will."""
