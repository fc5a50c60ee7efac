"""Models in worker processes on this machine."""
