"""Questions over one table as SQL: a file for each kind of question."""
