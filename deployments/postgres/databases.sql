-- Run by the Postgres image in the database `prefect`, once, when its volume is new. Elsewhere, with psql 15 or newer:
--
--   createdb prefect
--   GRAFANA_PASSWORD=... psql --dbname prefect --set ON_ERROR_STOP=1 --file deployments/postgres/databases.sql

-- Results over time, apart from the database that Prefect keeps for itself.
CREATE DATABASE monitoring;

-- Whoever may edit a dashboard may send any SQL: Grafana reads the results and nothing else.
\getenv grafana_password GRAFANA_PASSWORD
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password';
REVOKE CONNECT ON DATABASE prefect FROM PUBLIC;

\connect monitoring
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO grafana;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO grafana;
