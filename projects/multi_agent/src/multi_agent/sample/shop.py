"""The sample shop: the database of an outdoor store, and the folder of its policies.

    path = ensure_shop(Path("var/multi_agent"))     # var/multi_agent/shop.sqlite
    DOCUMENTS                                       # a folder of Markdown files

The rows are in the CSV files of `tables/`; `schema.sql` there describes them. No date is
relative to today; the answers in `eval/tasks.jsonl` depend on these rows.
"""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from seedbed.files import write_bytes

FOLDER = Path(__file__).parent
DOCUMENTS = FOLDER / "policies"


def ensure_shop(folder: Path) -> Path:
    """The sample shop's database, `shop.sqlite` in `folder`, created at the first call.

    A file with other content is replaced atomically. Raises OSError if it cannot be written.

    >>> with sqlite3.connect(ensure_shop(Path())) as shop:
    ...     shop.execute("SELECT count(*) FROM orders").fetchone()
    (320,)
    """
    path, data = folder / "shop.sqlite", _build_shop()
    if not path.is_file() or path.read_bytes() != data:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    return path


def _build_shop() -> bytes:
    """The content of the database file; takes about 5 ms."""
    with closing(sqlite3.connect(":memory:")) as shop:
        shop.executescript((FOLDER / "tables/schema.sql").read_text(encoding="utf-8"))
        for path in sorted(FOLDER.glob("tables/*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                columns, *rows = csv.reader(file)
            placeholders = ", ".join("?" * len(columns))
            values = ([value or None for value in row] for row in rows)  # an empty cell is NULL
            shop.executemany(f"INSERT INTO {path.stem} VALUES ({placeholders})", values)
        shop.commit()
        return shop.serialize()
