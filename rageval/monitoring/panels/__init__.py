"""The SQL of every dashboard panel, once, for Grafana and for the static page, for SQLite and for Postgres."""
