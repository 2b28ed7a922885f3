"""The steps from an empty monitoring database to today's schema, for Alembic; `Database.migrate` runs them."""
