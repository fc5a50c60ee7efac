"""The server: reports of all papers, and runs in the background."""
