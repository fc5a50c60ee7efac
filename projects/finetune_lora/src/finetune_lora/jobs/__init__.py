"""The jobs behind the verbs: train, evaluate, compare, and the whole of it in one go."""
