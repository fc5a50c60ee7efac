"""Fakes for tests: a service in a process, and an upstream server that fails on demand."""
