"""Runs of a training or an evaluation: figures, machine, tracking."""
