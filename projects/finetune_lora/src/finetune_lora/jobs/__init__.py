"""The jobs behind the commands: train, evaluate, the demo, and everything in one run."""
