"""What the specialists call."""
