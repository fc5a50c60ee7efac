"""A help desk that works through a mailbox: durable, with approvals and exactly-once effects."""

__version__ = "0.1.0"
