"""How cells are run: processes, checkpoints, stored results and progress."""
