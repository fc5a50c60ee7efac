"""From pixels to words with boxes, in reading order."""
