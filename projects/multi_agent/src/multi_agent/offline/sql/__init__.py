"""Questions in words to SQL, by rules."""
