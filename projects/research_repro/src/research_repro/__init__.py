"""Reproduces papers: each claim is measured over seeds and passes or fails by a fixed tolerance."""
