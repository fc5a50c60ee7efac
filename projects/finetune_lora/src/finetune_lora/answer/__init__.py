"""Answers of a model: within what the task allows, from torch or from any model spec."""
