"""Runs Python programs in WebAssembly, without files, network or other processes."""
