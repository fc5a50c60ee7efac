"""A team of agents over a database and documents, within a budget and with evidence."""

__version__ = "0.1.0"
