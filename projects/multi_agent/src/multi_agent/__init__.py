"""A team of agents that works within a budget and shows whether the team is worth it."""

__version__ = "0.1.0"
