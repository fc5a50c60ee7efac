"""Make a small model good at one job, prove it, and serve it."""

__version__ = "0.1.0"
