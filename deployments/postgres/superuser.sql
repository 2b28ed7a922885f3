-- Run by the Postgres image after databases.sql: its superuser has a password no longer, so nobody is it from another
-- container or through the published port. In its own container it needs none: docker compose exec postgres psql -U postgres
ALTER ROLE CURRENT_USER PASSWORD NULL;
