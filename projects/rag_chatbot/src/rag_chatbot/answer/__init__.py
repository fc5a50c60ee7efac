"""From retrieved chunks to an answer with verified citations, or to an abstention."""
