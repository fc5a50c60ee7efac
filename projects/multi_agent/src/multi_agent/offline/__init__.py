"""The brain without a model: plans, queries, quotes and expressions by rules."""
