-- Run by the Postgres image in the database `prefect`, once, when its volume is new. Elsewhere, with psql 15 or newer, as
-- a superuser, and with the three passwords in the environment:
--
--   createdb prefect
--   psql --dbname prefect --set ON_ERROR_STOP=1 --file deployments/postgres/databases.sql
--
-- Three roles, none of which may do more than it needs: `prefect` and `rageval` own a database each and enter no other,
-- `grafana` reads the results.
\getenv rageval_password POSTGRES_PASSWORD
\getenv prefect_password POSTGRES_PREFECT_PASSWORD
\getenv grafana_password GRAFANA_PASSWORD
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE ROLE rageval LOGIN PASSWORD :'rageval_password';
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password' CONNECTION LIMIT 20;

-- Results over time, apart from the database that Prefect keeps for itself.
ALTER DATABASE prefect OWNER TO prefect;
CREATE DATABASE monitoring OWNER rageval;
REVOKE ALL ON DATABASE prefect, monitoring, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE monitoring TO grafana;

-- Whoever may edit a dashboard may send any SQL as grafana. A session may change the times, not the size.
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';
ALTER ROLE grafana SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE grafana SET temp_file_limit = '1GB';

\connect monitoring
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO grafana;
ALTER DEFAULT PRIVILEGES FOR ROLE rageval GRANT SELECT ON TABLES TO grafana;
-- Everybody may call these, unless told otherwise: they write large objects and to the log, and hold locks for ever.
DO $$
DECLARE
    called regprocedure;
BEGIN
    FOR called IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '^lo_|^loread$|^lowrite$|^pg_(try_)?advisory|^pg_logical_emit_message$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', called);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint), pg_advisory_xact_lock_shared(bigint) TO rageval;
