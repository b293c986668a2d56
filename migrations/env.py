"""How alembic reaches the database: the connection it was given, else the one in CONDITIONS_URL."""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection

from conditions.store.engine import database_url, make_engine, writing
from conditions.store.tables import Base


def migrate_online(connection: Connection) -> None:
    """Run the migrations in the connection's transaction: all of them or none."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_offline() -> None:
    """Write the SQL for the database of CONDITIONS_URL instead of running it."""
    context.configure(url=database_url(None), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is None and context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    migrate_offline()
elif given is not None:
    migrate_online(given)
else:
    with writing(make_engine(database_url(None))).begin() as opened:
        migrate_online(opened)
