"""What Alembic runs for a command: the steps, on the connection that the caller gave, in the caller's transaction."""

from alembic import context

from rageval.monitoring.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    compare_type=True,
    render_as_batch=True,  # SQLite changes a table by writing it anew
    transactional_ddl=True,
)
context.run_migrations()
