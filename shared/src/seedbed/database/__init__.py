"""SQLite connections, and SQLAlchemy engines for databases by URL."""
