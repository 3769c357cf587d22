-- A role and a database for Parley on a PostgreSQL of one's own (15 or newer), once, as a superuser:
--   psql -v password="$(openssl rand -hex 24)" -f deploy/postgres/parley.sql
-- then: parley migrate, with DATABASE_URL=postgres://parley:PASSWORD@127.0.0.1:5432/parley
\set ON_ERROR_STOP on
CREATE ROLE parley LOGIN PASSWORD :'password';
CREATE DATABASE parley OWNER parley ENCODING 'UTF8' TEMPLATE template0;
-- Nobody else may look inside.
REVOKE ALL ON DATABASE parley FROM PUBLIC;
