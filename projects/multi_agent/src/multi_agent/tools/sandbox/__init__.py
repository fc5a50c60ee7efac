"""Runs untrusted Python programs without files, network or other processes.

CPython compiled to WebAssembly runs in a worker process; it has the standard library, no packages.
What a program may contain is not looked at: the sandbox decides what a program can do.
"""
