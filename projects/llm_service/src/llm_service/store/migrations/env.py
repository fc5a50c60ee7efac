"""Run by Alembic for each upgrade; it does not open the database: `database.py` hands it over.

To change a table: edit `tables.py`, copy the newest file of `versions/` under the next number,
and write the difference there.
"""

from alembic import context

from llm_service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
