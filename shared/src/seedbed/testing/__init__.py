"""Helpers for tests: servers, browsers, stand-ins for models and vendors."""
