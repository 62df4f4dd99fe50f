"""The roles and the database that the runner makes, on a real server."""

from contextlib import closing

import psycopg
import pytest
from psycopg import errors

from runner.credentials import Credentials
from runner.database import bootstrap, database_of, with_login
from runner.errors import RunnerError
from runner.processes import Watchdog
from runner.servers import Servers, running_servers

ATTRIBUTES = "rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin"


def ask(url: str, statement: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row


def app_url(servers: Servers) -> str:
    return servers.environment["DATABASE_URL"]


def owner_url(servers: Servers) -> str:
    return servers.environment["DATABASE_OWNER_URL"]


def test_application_role_has_no_power_beyond_its_grants(servers: Servers) -> None:
    row = ask(app_url(servers), f"SELECT {ATTRIBUTES} FROM pg_roles WHERE rolname = current_user")
    assert row == (False, False, False, False, False, True)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE own (id int)",
        "CREATE SCHEMA own",
        "CREATE DATABASE own",
        "CREATE ROLE own",
        "CREATE EXTENSION btree_gist",
        "SET ROLE linden_owner",
        "ALTER ROLE linden_app BYPASSRLS",
    ],
)
def test_application_role_may_not_change_the_house(servers: Servers, statement: str) -> None:
    with (
        closing(psycopg.connect(app_url(servers), autocommit=True)) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_application_role_may_use_temporary_tables(servers: Servers) -> None:
    with psycopg.connect(app_url(servers)) as connection:
        connection.execute("CREATE TEMPORARY TABLE staged (id int) ON COMMIT DROP")
        connection.execute("INSERT INTO staged VALUES (1)")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "30s"),
    ],
)
def test_only_the_application_role_has_timeouts(servers: Servers, setting: str, value: str) -> None:
    assert ask(app_url(servers), f"SHOW {setting}") == (value,)
    assert ask(owner_url(servers), f"SHOW {setting}") == ("0",)


def test_owner_makes_tables_and_trusted_extensions(servers: Servers) -> None:
    with psycopg.connect(owner_url(servers)) as connection:
        for extension in ("btree_gist", "pg_trgm", "unaccent"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        connection.execute(
            "CREATE TABLE visit (during tstzrange, EXCLUDE USING gist (during WITH &&))"
        )
        connection.rollback()
    row = ask(owner_url(servers), f"SELECT {ATTRIBUTES} FROM pg_roles WHERE rolname = current_user")
    assert row == (False, False, True, False, True, True), "for tests the owner creates databases"


def test_nobody_else_may_connect(admin_url: str) -> None:
    words = {"database": "house", "owner_password": "o", "app_password": "a", "suffix": "_house"}
    made = bootstrap(admin_url, **words)  # type: ignore[arg-type]
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE passer_by LOGIN")
    may_connect = "SELECT has_database_privilege('{}', 'house', 'CONNECT')"
    assert ask(made.owner, may_connect.format("passer_by")) == (False,)
    assert ask(made.owner, may_connect.format("linden_app_house")) == (True,)


def test_text_is_unicode_and_sorted_the_same_everywhere(servers: Servers) -> None:
    assert ask(
        app_url(servers), "SELECT upper('é'), 'Z' < 'a', current_setting('server_encoding')"
    ) == (
        "É",
        True,
        "UTF8",
    )


def test_statements_and_their_values_stay_out_of_the_log(servers: Servers) -> None:
    settings = ("log_statement", "log_min_error_statement", "log_error_verbosity")
    assert [ask(app_url(servers), f"SHOW {s}") for s in settings] == [
        ("none",),
        ("panic",),
        ("terse",),
    ]
    secret = "Musterfrau"
    with (
        closing(psycopg.connect(app_url(servers), autocommit=True)) as connection,
        pytest.raises(errors.UndefinedTable),
    ):
        connection.execute(f"SELECT '{secret}' FROM missing_table")
    (log,) = {s.log for s in servers.started if s.name == "postgres"}
    text = log.read_text()
    assert "missing_table" in text
    assert secret not in text


def test_roles_on_a_given_server_carry_the_name_of_the_database(
    servers: Servers, admin_url: str, credentials: Credentials
) -> None:
    given = {
        "DATABASE_URL": admin_url.rpartition("/")[0] + "/clinic",
        "REDIS_URL": servers.environment["REDIS_URL"],
    }
    watchdog = Watchdog()
    with running_servers(
        credentials=credentials, watchdog=watchdog, var=None, durable=False, given=given
    ) as used:
        assert used.pids() == {}
        assert used.environment["REDIS_URL"] == given["REDIS_URL"]
        assert ask(app_url(used), "SELECT current_user, current_database()") == (
            "linden_app_clinic",
            "clinic",
        )
        assert ask(owner_url(used), "SELECT current_user") == ("linden_owner_clinic",)
    watchdog.close()


def test_two_given_urls_are_used_as_they_are(servers: Servers, credentials: Credentials) -> None:
    given = {name: servers.environment[name] for name in ("REDIS_URL", "DATABASE_URL")}
    given["DATABASE_OWNER_URL"] = "postgresql://anybody@127.0.0.1:1/never_connected"
    watchdog = Watchdog()
    with running_servers(
        credentials=credentials, watchdog=watchdog, var=None, durable=False, given=given
    ) as used:
        assert {name: used.environment[name] for name in given} == given
    watchdog.close()


def test_an_administrator_without_superuser_is_enough(
    admin_url: str,
) -> None:
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE hospital LOGIN CREATEROLE CREATEDB PASSWORD 'h'")
    url = with_login(admin_url, user="hospital", password="h", database="ward")
    words = {"database": "ward", "owner_password": "o", "app_password": "a", "suffix": "_ward"}
    first = bootstrap(url, **words)  # type: ignore[arg-type]
    again = bootstrap(url, **words)  # type: ignore[arg-type]
    assert first == again
    row = ask(again.app, f"SELECT {ATTRIBUTES} FROM pg_roles WHERE rolname = current_user")
    assert row == (False, False, False, False, False, True)


def test_a_role_that_may_not_make_roles_is_told_so(servers: Servers) -> None:
    with pytest.raises(RunnerError, match="CREATEROLE and CREATEDB"):
        bootstrap(app_url(servers), database="linden", owner_password="o", app_password="a")


@pytest.mark.parametrize("name", ["", "postgres", "template1"])
def test_a_database_that_is_not_ours_is_refused(admin_url: str, name: str) -> None:
    with pytest.raises(RunnerError, match="database of its own"):
        bootstrap(admin_url, database=name, owner_password="o", app_password="a")


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(RunnerError, match=r"DATABASE_URL \(127\.0\.0\.1\) does not answer"):
        bootstrap(
            "postgresql://postgres:secret@127.0.0.1:1/linden",
            database="linden",
            owner_password="o",
            app_password="a",
        )


def test_urls_keep_server_and_options_and_quote_the_rest() -> None:
    url = with_login(
        "postgres://admin:x@db.example:6432/old?sslmode=require",
        user="linden_app_a b",
        password="p@ss/word",
        database="a b",
    )
    assert (
        url == "postgresql://linden_app_a%20b:p%40ss%2Fword@db.example:6432/a%20b?sslmode=require"
    )
    assert database_of(url) == "a b"
