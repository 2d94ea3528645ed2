"""postgres-processor against a real PostgreSQL."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from flexcore_plugin import OperationFailed
from flexcore_plugins.postgres_processor import connections
from flexcore_plugins.postgres_processor.processor import PostgresProcessor
from tests.servers import PostgresServer, wait_until

TABLE = """
CREATE TABLE "Odd ""items" (
    id int PRIMARY KEY, name text, price numeric(10, 2), tags text[], about jsonb, raw bytea,
    at timestamptz, "on" date, ok boolean DEFAULT true
)
"""
ODD = 'Odd "items'


@pytest.fixture
def database(postgres_server: PostgresServer, empty_database: str) -> Iterator[psycopg.Connection]:
    with postgres_server.connect(postgres_server.owner, empty_database) as connection:
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def plugin(postgres_server: PostgresServer, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Any:
    login = postgres_server.login(postgres_server.owner, database.info.dbname)
    monkeypatch.setattr(connections, "secret", {"default_password": login.password, "wrong": "wrong"}.__getitem__)
    known = {
        "host": login.host,
        "port": login.port,
        "user": login.user,
        "database": login.database,
        "sslmode": "prefer",
        "secret": "default_password",
    }
    nobody = {**known, "port": 1}
    return PostgresProcessor(
        {"connections": {"default": known, "wrong": {**known, "secret": "wrong"}, "nobody": nobody}}
    )


def rows(database: psycopg.Connection, query: str) -> list[Any]:
    return database.execute(query).fetchall()  # type: ignore[arg-type]  # a query of the test


def test_query_gives_types_as_json(plugin: Any) -> None:
    answer = plugin.query(
        """
        SELECT $1::numeric AS n, $2::timestamptz AS t, $3::bytea AS b, $4::int[] AS a, $5::jsonb AS j, $6::text AS s,
               '{"a": 1.50}'::json AS k, 'NaN'::float8 AS f, '1 hour'::interval AS i, int4range(1, 5) AS r,
               '10.0.0.0/8'::cidr AS c, row(1, 'x') AS x, NULL::int AS z, ARRAY['{"b": 1}'::jsonb] AS l
        """,
        ["12345678901234567890.10", "2024-01-31T12:00:00+02:00", "AP8=", [1, None, 3], {"x": [1, None]}, "ü"],
    )
    assert answer["rows"] == [
        {
            "n": "12345678901234567890.10",
            "t": "2024-01-31T10:00:00Z",
            "b": "AP8=",
            "a": [1, None, 3],
            "j": {"x": [1, None]},
            "s": "ü",
            "k": {"a": 1.5},
            "f": "nan",
            "i": 3600.0,
            "r": {"lower": 1, "upper": 5, "lower_included": True, "upper_included": False},
            "c": "10.0.0.0/8",
            "x": [1, "x"],
            "z": None,
            "l": [{"b": 1}],
        }
    ]
    assert answer["columns"][:2] == [{"name": "n", "type": "numeric"}, {"name": "t", "type": "timestamptz"}]
    assert (answer["row_count"], answer["truncated"]) == (1, False)
    json.dumps(answer, allow_nan=False)


def test_query_gives_no_more_rows_than_asked_for(plugin: Any) -> None:
    answer = plugin.query("SELECT n FROM generate_series(1, 5000000) AS n", row_limit=1200)
    assert (answer["row_count"], answer["truncated"]) == (1200, True)
    assert [row["n"] for row in answer["rows"]] == list(range(1, 1201))
    exact = plugin.query("SELECT n FROM generate_series(1, 3) AS n", row_limit=3)
    assert (exact["row_count"], exact["truncated"]) == (3, False)


def test_a_query_may_only_write_when_told_so(plugin: Any, database: psycopg.Connection) -> None:
    insert = 'INSERT INTO "Odd ""items" (id) VALUES (1) RETURNING id'
    with pytest.raises(OperationFailed, match="cannot execute INSERT in a read-only transaction"):
        plugin.query(insert)
    assert rows(database, 'SELECT id FROM "Odd ""items"') == []
    assert plugin.query(insert, read_only=False)["rows"] == [{"id": 1}]
    assert rows(database, 'SELECT id FROM "Odd ""items"') == [(1,)]


def test_execute(plugin: Any, database: psycopg.Connection) -> None:
    insert = 'INSERT INTO "Odd ""items" (id, price) VALUES ($1, $2)'
    assert plugin.execute(insert, [1, "1.50"]) == {"rows_affected": 1, "executions": 1}
    many = [[number, number] for number in range(2, 50)]
    assert plugin.execute(insert, parameter_sets=many) == {"rows_affected": 48, "executions": 48}
    assert plugin.execute('UPDATE "Odd ""items" SET price = 0')["rows_affected"] == 49
    assert plugin.execute("CREATE TABLE other (x int)") == {"rows_affected": 0, "executions": 1}
    with pytest.raises(OperationFailed, match="duplicate key") as caught:
        plugin.execute(insert, parameter_sets=[[100, 1], [1, 1]])
    assert caught.value.details["sqlstate"] == "23505"
    assert rows(database, 'SELECT count(*) FROM "Odd ""items"') == [(49,)], "all or nothing"


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("query", {"sql": "SELEC 1"}, 'PostgreSQL refuses: syntax error at or near "SELEC"'),
        ("query", {"sql": "SELECT 1; SELECT 2"}, "PostgreSQL refuses: cannot insert multiple commands"),
        ("query", {"sql": "SELECT 1 AS a, 2 AS a"}, "two columns are called 'a'; name one of them with AS"),
        ("query", {"sql": "SET work_mem = '8MB'"}, "the statement gives no rows; run it with execute"),
        ("query", {"sql": "SELECT $1::int", "parameters": []}, "parameters: the statement takes 1 parameters, not 0"),
        (
            "query",
            {"sql": "SELECT $1::int", "parameters": ["x"]},
            "parameters[0] must be a whole number for the type int4",
        ),
        (
            "query",
            {"sql": "SELECT $1::int", "parameters": [2**40]},
            "PostgreSQL refuses: invalid input for query argument",
        ),
        (
            "query",
            {"sql": "SELECT pg_sleep(9)", "timeout_seconds": 0.1},
            "the statement was stopped: it was not done after 0.1 s",
        ),
        ("query", {"sql": "SELECT repeat('x', 10000000)"}, "the rows are longer than 9 MB"),
        (
            "query",
            {"sql": "SELECT 1", "connection": "other"},
            "there is no connection 'other'; there are: default, wrong, nobody",
        ),
        ("query", {"sql": "SELECT 1", "connection": "wrong"}, "PostgreSQL at 127.0.0.1:"),
        ("query", {"sql": "SELECT 1", "connection": "nobody"}, "PostgreSQL at 127.0.0.1:1 can't be used: "),
        (
            "execute",
            {"sql": "SELECT $1::int", "parameter_sets": [[1], ["x"]]},
            "parameter_sets[1][0] must be a whole number",
        ),
        ("execute", {"sql": "SELECT 1", "parameters": [], "parameter_sets": []}, "give parameters or parameter_sets"),
        ("copy_out", {"format": "csv"}, "give sql or a table, not both"),
        ("copy_out", {"format": "csv", "sql": "SET work_mem = '8MB'"}, "the statement gives no rows"),
        (
            "copy_out",
            {"format": "csv", "sql": "SELECT 1) TO STDOUT; DROP TABLE x; --"},
            "PostgreSQL refuses: syntax error",
        ),
        ("copy_out", {"format": "csv", "sql": "SELECT repeat('x', 10000000)"}, "the rows are longer than 9 MB"),
        (
            "copy_in",
            {"table": "nope", "format": "csv", "text": "a\n1\n"},
            'PostgreSQL refuses: relation "nope" does not exist',
        ),
        ("copy_in", {"table": ODD, "format": "csv", "text": ""}, "the CSV has no first line"),
        (
            "copy_in",
            {"table": ODD, "format": "csv", "text": "a,b\n", "columns": ["id"]},
            "the CSV has 2 columns, not 1",
        ),
        (
            "copy_in",
            {"table": ODD, "format": "csv", "text": "id,name\n1,x\ny,z\n"},
            "line 3, column 'id': invalid input syntax",
        ),
        ("copy_in", {"table": ODD, "format": "csv", "text": "id\n1\n1\n"}, "line 3: duplicate key value"),
        (
            "copy_in",
            {"table": ODD, "format": "ndjson", "text": '{"id": 1}\n\n{"id": "x"}\n'},
            "line 3, column 'id': invalid input",
        ),
        (
            "copy_in",
            {"table": ODD, "format": "ndjson", "text": '{"id": 1}\n{"id" 2}'},
            "line 2, character 7: Expecting ':'",
        ),
        ("copy_in", {"table": ODD, "format": "ndjson", "text": "[1]"}, "line 1 is not an object"),
        (
            "copy_in",
            {"table": ODD, "format": "ndjson", "text": '{"id": 1, "raw": "?"}'},
            "line 1, column 'raw': the value is no bytea",
        ),
        (
            "copy_in",
            {"table": ODD, "format": "ndjson", "text": '{"id": 1, "x": 2}', "columns": ["id"]},
            "line 1 has 'x', which is not among the columns",
        ),
    ],
)
def test_errors_say_what_is_wrong(
    plugin: Any, database: psycopg.Connection, command: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OperationFailed) as caught:
        getattr(plugin, command)(**arguments)
    assert str(caught.value).startswith(message)
    assert rows(database, 'SELECT id FROM "Odd ""items"') == []


RECORDS = [
    {
        "id": 1,
        "name": 'tab\t, "quote", \\ and\nline',
        "price": 12345678.9,
        "tags": ["a,b", 'c"d\\', None, "ü"],
        "about": {"x": [1.10, None], "y": "\n"},
        "raw": "AP8=",
        "at": "2024-01-31T12:00:00+02:00",
        "on": "2024-01-31",
    },
    {"id": 2, "name": None, "tags": [], "ok": False},
    {"id": 3, "name": ""},
]


def test_ndjson_goes_in_and_out(plugin: Any, database: psycopg.Connection) -> None:
    text = "\n".join(map(json.dumps, RECORDS))
    assert plugin.copy_in(ODD, "ndjson", text, schema="public") == {"rows": 3}
    assert rows(database, 'SELECT name, tags, about, raw, ok FROM "Odd ""items" WHERE id = 1') == [
        (RECORDS[0]["name"], RECORDS[0]["tags"], RECORDS[0]["about"], b"\x00\xff", None)
    ]
    answer = plugin.copy_out("ndjson", sql='SELECT * FROM "Odd ""items" WHERE id > $1 ORDER BY id;', parameters=[0])
    out = [json.loads(line) for line in answer["text"].splitlines()]
    assert answer["rows"] == 3
    assert [record["tags"] for record in out] == [RECORDS[0]["tags"], [], None]
    assert out[0]["name"] == RECORDS[0]["name"]
    assert out[0]["price"] == 12345678.9
    assert [record["name"] for record in out[1:]] == [None, ""]


def test_a_number_is_copied_as_it_is_written(plugin: Any, database: psycopg.Connection) -> None:
    plugin.execute("CREATE TABLE exact (n numeric, j json)")
    text = '{"n": 12345678901234567890.12345678901234567890, "j": {"n": 1.10}}'
    plugin.copy_in("exact", "ndjson", text)
    assert rows(database, "SELECT n::text, j::text FROM exact") == [
        ("12345678901234567890.12345678901234567890", '{"n":1.10}')
    ]


def test_csv_goes_in_and_out(plugin: Any, database: psycopg.Connection) -> None:
    text = 'price,id,name\n1.50,1,"two\nlines"\n,2,\n3,3,""\n'
    assert plugin.copy_in(ODD, "csv", text) == {"rows": 3}
    assert rows(database, 'SELECT id, name, price::text FROM "Odd ""items" ORDER BY id') == [
        (1, "two\nlines", "1.50"),
        (2, None, None),
        (3, "", "3.00"),
    ]
    answer = plugin.copy_out("csv", table=ODD, columns=["id", "name", "price"])
    assert answer == {"text": 'id,name,price\n1,"two\nlines",1.50\n2,,\n3,"",3.00\n', "rows": 3}
    options = {"header": False, "delimiter": ";", "null": "NULL"}
    plugin.execute('DELETE FROM "Odd ""items" WHERE id <> 2')
    bare = plugin.copy_out("csv", table=ODD, columns=["id", "name"], **options)
    assert bare["text"] == "2;NULL\n"
    plugin.execute('DELETE FROM "Odd ""items"')
    assert plugin.copy_in(ODD, "csv", bare["text"], columns=["id", "name"], **options) == {"rows": 1}
    assert rows(database, 'SELECT id, name FROM "Odd ""items"') == [(2, None)]


def test_a_copy_out_cannot_write(plugin: Any) -> None:
    with pytest.raises(OperationFailed, match="read-only transaction"):
        plugin.copy_out("csv", sql="SELECT nextval('s')" if plugin.execute("CREATE SEQUENCE s") else "")


def test_health(plugin: Any, postgres_server: PostgresServer) -> None:
    only = PostgresProcessor({"connections": {"default": plugin._databases._known["default"]}})
    answer: Any = only.health()
    assert answer["status"] == "healthy"
    assert answer["connections"]["default"]["version"].split(".")[0].isdecimal()
    with pytest.raises(OperationFailed, match="can't be used"):
        plugin.health()
    with pytest.raises(OperationFailed, match=r"name one in the setting builtins\.postgres_connections"):
        PostgresProcessor({}).health()


def test_nothing_is_left_open(plugin: Any, database: psycopg.Connection) -> None:
    plugin.query("SELECT 1")
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flexcore postgres-processor'"
    wait_until(lambda: rows(database, query) == [(0,)], 5, "end of the session")
