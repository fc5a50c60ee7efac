"""Make a small model good at one job, prove it, and serve it."""
