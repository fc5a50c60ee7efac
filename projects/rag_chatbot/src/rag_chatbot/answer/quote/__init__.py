"""Quote mode: the best spans of the documents are the answer, and no model writes."""
