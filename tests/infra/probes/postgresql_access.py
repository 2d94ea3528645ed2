"""How PostgreSQL answers clients on this host. Runs under FlexCore's interpreter, which has the driver."""

import psycopg


def attempt(host, port, login):
    """What one login gets: the user it became and the answer to a query, or how it was refused."""
    try:
        with psycopg.connect(
            host=host,
            port=port,
            dbname=login["database"],
            user=login["user"],
            password=login["password"],
            connect_timeout=5,
            application_name="verify",
            options="-c default_transaction_read_only=on -c statement_timeout=5000",
        ) as connection:
            row = connection.execute("SELECT current_user, count(*) FROM pg_catalog.pg_tables").fetchone()
            return {"user": row[0], "answered": row[1] > 0}
    except psycopg.OperationalError as error:
        message = str(error).strip()
        if "FATAL:" not in message:
            # No word of the server's: nobody answers, and the other logins would find out no more.
            raise SystemExit(message) from None
        return {"refused": message}


def collect(host, port, password, logins):
    """The outcome of each login by its name. Those marked `real` use the real password, others a wrong one."""
    return {
        name: attempt(host, port, {**login, "password": password if login.get("real") else "not-the-password"})
        for name, login in logins.items()
    }
