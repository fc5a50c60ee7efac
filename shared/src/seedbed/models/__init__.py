"""Chat models, embeddings and rerankers by their specs, with the weights and prompts they need."""
