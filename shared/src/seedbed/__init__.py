"""Plumbing shared by the Seedbed projects; import everything from its module."""
