"""Fields of documents, each with its evidence and confidence."""
