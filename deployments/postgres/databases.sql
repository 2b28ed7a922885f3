-- Results over time, apart from the database that Prefect keeps for itself.
CREATE DATABASE monitoring;
