"""The choice of a target for a request, and what it does after failures."""
