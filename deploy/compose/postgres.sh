#!/bin/bash
# Runs once, when the data folder is made: a role and a schema of the same name for each service, and Keycloak's database.
set -eu
for role in keycloak identity documents notifications exchange; do
  variable=BACKBONE_DATABASE_PASSWORD_${role^^}
  # The password goes by the environment, never by an argument or a log.
  psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname backbone <<SQL
\getenv password $variable
create role $role login password :'password';
SQL
done
psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname backbone <<'SQL'
create database keycloak owner keycloak;
revoke all on database keycloak, backbone from public;
revoke all on schema public from public;
SQL
for role in identity documents notifications exchange; do
  psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname backbone <<SQL
grant connect on database backbone to $role;
alter role $role in database backbone set search_path = $role;
create schema $role authorization $role;
SQL
done
