"""The training of an adapter, on one process or many."""
