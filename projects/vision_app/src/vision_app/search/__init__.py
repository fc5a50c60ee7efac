"""Finds similar images, images by text, and near-duplicates."""
