"""The results of a run for people: an HTML page with its figures inside, a table for terminals."""
