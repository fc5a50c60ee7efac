"""Plumbing that the Seedbed projects share; see `README.md` beside `src`."""
