"""What the PostgreSQL server says about itself to its own superuser over the local socket. Runs as `postgres`."""

import json
import subprocess

STATE = """
SELECT json_build_object(
    'version', current_setting('server_version_num')::int,
    'settings', (
        SELECT json_object_agg(name, setting) FROM pg_settings
        WHERE name IN ('data_checksums', 'password_encryption', 'fsync', 'full_page_writes', 'listen_addresses',
                       'port', 'max_connections', 'superuser_reserved_connections')
    ),
    'restart_pending', (SELECT coalesce(json_agg(name), '[]') FROM pg_settings WHERE pending_restart),
    'file_errors', (
        SELECT coalesce(json_agg(format('%s:%s %s: %s', sourcefile, sourceline, name, error)), '[]')
        FROM pg_file_settings WHERE error IS NOT NULL
    ),
    'access', (
        SELECT json_agg(json_build_object(
            'line', line_number, 'type', type, 'databases', database, 'roles', user_name,
            'address', address, 'netmask', netmask, 'method', auth_method, 'error', error
        ))
        FROM pg_hba_file_rules
    ),
    'roles', (
        SELECT json_object_agg(rolname, json_build_object(
            'login', rolcanlogin, 'superuser', rolsuper, 'bypasses_row_security', rolbypassrls,
            'creates_roles', rolcreaterole, 'creates_databases', rolcreatedb, 'replicates', rolreplication,
            'password', CASE WHEN rolpassword IS NULL THEN 'none'
                             WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256' ELSE 'weak' END
        ))
        FROM pg_authid WHERE rolname NOT LIKE 'pg\\_%'
    ),
    'databases', (
        SELECT json_object_agg(datname, json_build_object(
            'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
            'checksum_failures', checksum_failures
        ))
        FROM pg_database JOIN pg_stat_database USING (datname)
    ),
    'sessions', (
        SELECT coalesce(json_agg(json_build_object(
            'application', application_name, 'user', usename, 'database', datname, 'address', host(client_addr)
        )), '[]')
        FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    )
)
"""

# Run in one database: what a role may do there. Catalogues are PostgreSQL's own business.
RIGHTS = """
SELECT json_build_object(
    'tables', (
        SELECT coalesce(json_object_agg(format('%I.%I', nspname, relname), (
            SELECT coalesce(json_agg(privilege), '[]')
            FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
            WHERE has_table_privilege('{role}', pg_class.oid, privilege)
                OR (privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                    AND has_any_column_privilege('{role}', pg_class.oid, privilege))
        )), '{{}}')
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema')
    ),
    'owned', (
        SELECT count(*) FROM pg_shdepend
        WHERE refclassid = 'pg_authid'::regclass AND refobjid = '{role}'::regrole AND deptype = 'o'
    ),
    'creates_in', (
        SELECT coalesce(json_agg(nspname), '[]') FROM pg_namespace
        WHERE has_schema_privilege('{role}', oid, 'CREATE') AND nspname NOT LIKE 'pg\\_temp\\_%'
    ),
    'creates_schemas', has_database_privilege('{role}', current_database(), 'CREATE'),
    'member_of', (
        SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles
        WHERE rolname <> '{role}' AND pg_has_role('{role}', oid, 'MEMBER')
    ),
    'privileged_functions', (
        SELECT coalesce(json_agg(proname), '[]') FROM pg_proc
        WHERE prosecdef AND has_function_privilege('{role}', oid, 'EXECUTE')
    ),
    'guards', (
        SELECT coalesce(json_object_agg(tgname, tgenabled), '{{}}') FROM pg_trigger
        WHERE tgrelid = to_regclass('public.events') AND NOT tgisinternal
    )
)
"""


def ask(port, database, statement):
    """Run one statement that gives one JSON document, in a transaction that cannot write."""
    answer = subprocess.run(
        ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-p", str(port), "-d", database, "-f", "-"],
        input=f"SET statement_timeout = '5s'; BEGIN READ ONLY; {statement}; COMMIT;",
        capture_output=True,
        text=True,
        cwd="/",
        timeout=30,
        check=False,
    )
    if answer.returncode:
        raise SystemExit(answer.stderr.strip() or "psql failed without a message")
    return json.loads(answer.stdout)


def collect(port, database, role):
    """The server's state, and under `rights` what `role` may do in `database`."""
    state = ask(port, "postgres", STATE)
    state["rights"] = ask(port, database, RIGHTS.format(role=role))
    return state
