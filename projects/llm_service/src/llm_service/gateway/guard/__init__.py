"""Blocked terms and personal data, in whole texts and in streams."""
