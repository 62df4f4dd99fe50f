"""Roles and the database of one system, made through an administrative connection.

Two roles: the owner runs migrations, the application has neither DDL nor a way around row-level
security. Which tables the application may touch is granted by the migrations.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from runner.errors import RunnerError

DATABASE = "linden"
OWNER_ROLE = "linden_owner"
APP_ROLE = "linden_app"
# Any fixed number will do: it keeps two starts from creating the same role together.
BOOTSTRAP_LOCK = 5_146_330_871
APP_SETTINGS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
}
NEVER_OURS = frozenset({"postgres", "template0", "template1"})


@dataclass(frozen=True)
class DatabaseUrls:
    """What Django is given: the run-time role and the owner, on the same database."""

    app: str
    owner: str


def with_login(url: str, *, user: str, password: str, database: str) -> str:
    """Return `url` for another login and database, on the same server with the same options."""
    parts = urlsplit(url)
    server = parts.netloc.rpartition("@")[2]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    path = "/" + quote(database, safe="")
    return urlunsplit(("postgresql", f"{login}@{server}", path, parts.query, ""))


def database_of(url: str) -> str:
    """Return the database that `url` names, '' when it names none."""
    return unquote(urlsplit(url).path.lstrip("/"))


def _connect_as_admin(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        first = error
    # The database may not be there yet; every server has the maintenance database.
    parts = urlsplit(url)
    maintenance = urlunsplit((parts.scheme, parts.netloc, "/postgres", parts.query, ""))
    try:
        return psycopg.connect(maintenance, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError:
        host = parts.hostname or "its socket"
        raise RunnerError(f"DATABASE_URL ({host}) does not answer: {first}") from first


def _ensure_role(
    connection: psycopg.Connection, *, role: str, password: str, attributes: str
) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    # Only the verifier is sent, so that the password is in no log of the server.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOCREATEROLE {} PASSWORD {}").format(
            sql.SQL("ALTER" if exists else "CREATE"),
            sql.Identifier(role),
            sql.SQL(attributes),
            sql.Literal(verifier),
        )
    )


def _admin_attributes(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None
    is_superuser, may_create_role, may_create_database = row
    if not is_superuser and not (may_create_role and may_create_database):
        raise RunnerError(
            "The role of DATABASE_URL must be a superuser or have CREATEROLE and CREATEDB: it "
            "makes Linden's own roles. To use roles made by hand, set DATABASE_OWNER_URL too."
        )
    return bool(is_superuser)


def bootstrap(
    admin_url: str,
    *,
    database: str,
    owner_password: str,
    app_password: str,
    suffix: str = "",
    owner_creates_databases: bool = False,
) -> DatabaseUrls:
    """Make the roles and the database, or bring them to the wanted state; safe to repeat.

    `suffix` is appended to both role names so that two systems can share one server.
    `owner_creates_databases` is for tests, whose database is created and dropped by the owner.
    Raises: RunnerError when the server does not answer or the role may not do this.
    """
    if not database or database in NEVER_OURS:
        raise RunnerError(
            "DATABASE_URL must end in the name of a database of its own, for example /linden."
        )
    owner, app = OWNER_ROLE + suffix, APP_ROLE + suffix
    urls = DatabaseUrls(
        app=with_login(admin_url, user=app, password=app_password, database=database),
        owner=with_login(admin_url, user=owner, password=owner_password, database=database),
    )
    with _connect_as_admin(admin_url) as admin:
        is_superuser = _admin_attributes(admin)
        admin.execute("SELECT pg_advisory_lock(%s)", (BOOTSTRAP_LOCK,))
        # Only a superuser may name these two; a role made by anybody else never has them.
        never = "NOSUPERUSER NOBYPASSRLS " if is_superuser else ""
        _ensure_role(
            admin,
            role=owner,
            password=owner_password,
            attributes=never + ("CREATEDB" if owner_creates_databases else "NOCREATEDB"),
        )
        _ensure_role(
            admin, role=app, password=app_password, attributes=never + "NOCREATEDB NOINHERIT"
        )
        for name, value in APP_SETTINGS.items():
            admin.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(app), sql.Identifier(name), sql.Literal(value)
                )
            )
        if not is_superuser:
            admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))
        _ensure_database(admin, database=database, owner=owner)
    _limit_application(urls.owner, database=database, owner=owner, app=app)
    return urls


def _ensure_database(admin: psycopg.Connection, *, database: str, owner: str) -> None:
    kept = admin.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (database,)
    ).fetchone()
    names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
    if kept is None:
        # From template0: the encoding may then differ from the server's own.
        admin.execute(
            sql.SQL(
                "CREATE DATABASE {database} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0"
            ).format(**names)
        )
    elif kept[0] != owner:
        admin.execute(sql.SQL("ALTER DATABASE {database} OWNER TO {owner}").format(**names))


def _limit_application(owner_url: str, *, database: str, owner: str, app: str) -> None:
    names = {
        "database": sql.Identifier(database),
        "owner": sql.Identifier(owner),
        "app": sql.Identifier(app),
    }
    statements = (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {app}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM {app}",
        "GRANT USAGE ON SCHEMA public TO {app}",
    )
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(**names))
