"""What specialists may do: typed tools with permissions, limits and a record of every call."""
