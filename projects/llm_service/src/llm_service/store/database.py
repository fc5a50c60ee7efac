"""The service's database: SQLite in its data folder or Postgres by URL, up to date once open."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, Engine

from llm_service.config import Config
from llm_service.store.tables import metadata
from seedbed.database import database
from seedbed.errors import BadInput, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Connections to an up-to-date database; `url` is without its password."""

    def __init__(self, engine: Engine, data_dir: Path) -> None:
        self.engine = engine
        self.data_dir = data_dir
        self.url = engine.url.render_as_string(hide_password=True)
        self.is_sqlite = engine.dialect.name == "sqlite"

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent view. Raises Unavailable, or Busy where another process holds a lock."""
        return database.reading(self.engine)

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction: all of it is written, or nothing. Raises as `reading` does."""
        return database.writing(self.engine)

    def close(self) -> None:
        self.engine.dispose()


def open_database(config: Config) -> Database:
    """The database of the settings, its tables brought up to date.

    Safe when several processes start together. Raises ConfigError (a wrong URL, a database of a
    newer version), MissingExtra, Unavailable; none of them shows the password.
    """
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"Cannot write to {str(config.data_dir)!r}: {error.strerror or error}.",
            hint="Set SERVICE_DATA_DIR to a writable folder.",
        ) from None
    engine = database.open_database(
        config.database_url,
        config.data_dir / "service.db",
        "llm_service",
        metadata,
        migrations=MIGRATIONS,
        extra="llm-service[postgres]",
        folder_setting="SERVICE_DATA_DIR",
    )
    return Database(engine, config.data_dir)


def storable(value: str, what: str, most: int = 200) -> str:
    """`value` if every database can keep it; BadInput names `what` otherwise."""
    if len(value) > most:
        raise BadInput(f"{what} is too long: {len(value)} characters, at most {most} are allowed.")
    if cleaned(value) != value:
        raise BadInput(f"{what} {value!r} contains a NUL character or half a surrogate pair.")
    return value


def cleaned(value: str) -> str:
    """Without what Postgres can't keep: NUL characters, and surrogates that stand alone."""
    return value.encode(errors="replace").decode().replace("\0", "\ufffd")
