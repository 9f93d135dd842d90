"""Runs migrations on the connection that `stores/sql.py` hands over."""

from alembic import context

from gradstream_server.stores.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
