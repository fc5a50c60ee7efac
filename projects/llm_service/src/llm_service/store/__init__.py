"""What is kept: keys, usage, feedback, in SQLite or Postgres."""
