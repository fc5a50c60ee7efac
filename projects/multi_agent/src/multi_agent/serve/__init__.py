"""The page, the API and the texts of the command line."""
