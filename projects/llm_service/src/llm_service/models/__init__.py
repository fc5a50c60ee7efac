"""The models that are served, and where they run."""
