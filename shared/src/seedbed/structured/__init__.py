"""Answers that follow a JSON schema: the schema becomes a grammar that limits what is generated."""
