"""Chat models: local, remote and their common interface."""
