"""The catalogue, and model weights in the cache."""
