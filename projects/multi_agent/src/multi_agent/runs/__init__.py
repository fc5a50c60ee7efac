"""The budget of a run, and what is recorded of it."""
