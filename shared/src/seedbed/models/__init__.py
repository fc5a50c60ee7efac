"""Chat models and embeddings by their specs, with the weights and prompts they need."""
