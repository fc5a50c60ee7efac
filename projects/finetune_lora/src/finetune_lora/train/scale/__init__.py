"""Training in several processes, on one machine or many.

`processes` returns which of them this one is.
"""
