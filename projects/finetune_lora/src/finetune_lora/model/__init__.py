"""A base model with an adapter, its examples as tokens, and a forward pass that saves work."""
