"""How cells are run: their working folder, checkpoints, processes, and Ray."""
