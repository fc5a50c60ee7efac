"""Turns a task into a plan."""
