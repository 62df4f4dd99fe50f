"""Migration operations for row-level security, so that every patient table reads alike."""

from collections.abc import Mapping, Sequence

from django.db import migrations

# Policies name the owner as CURRENT_USER: migrations run as the owner of the tables.
_ENABLE = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true);
"""
_DISABLE = """
ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
"""


def protect(
    table: str, *, using: str, check: str | None = None, insert: str | None = None
) -> migrations.RunSQL:
    """Force row security on `table`.

    `using` decides which rows are seen and may be changed, `check` (default `using`) which
    rows may be left by a change, and `insert` (default `check`) which may be added. All are
    SQL; `can_see(patient, area)`, `can_work(area)` and `app_kind()` are the building blocks.
    """
    check = check or using
    insert = insert or check
    forward = _ENABLE.format(table=table) + (
        f"CREATE POLICY reach_select ON {table} FOR SELECT USING ({using});\n"
        f"CREATE POLICY reach_insert ON {table} FOR INSERT WITH CHECK ({insert});\n"
        f"CREATE POLICY reach_update ON {table} FOR UPDATE USING ({using}) WITH CHECK ({check});\n"
        f"CREATE POLICY reach_delete ON {table} FOR DELETE USING ({using});\n"
    )
    names = ("owner_all", "reach_select", "reach_insert", "reach_update", "reach_delete")
    backward = "".join(f"DROP POLICY {name} ON {table};\n" for name in names)
    return migrations.RunSQL(forward, backward + _DISABLE.format(table=table))


def protect_patient_table(
    table: str, *, area: str, column: str = "patient_id", visible: str = ""
) -> migrations.RunSQL:
    """Force `can_see(column, area)` on `table`; `visible` further narrows what may be read."""
    reach = f"can_see({column}, '{area}')"
    using = f"{reach} AND ({visible})" if visible else reach
    return protect(table, using=using, check=reach)


def protect_children(
    table: str, *, parent: str, key: str, parent_key: str = "id"
) -> migrations.RunSQL:
    """Let a row of `table` be reached exactly when its row in protected `parent` is."""
    reach = f"EXISTS (SELECT 1 FROM {parent} p WHERE p.{parent_key} = {table}.{key})"
    return protect(table, using=reach)


def freeze(
    table: str,
    *,
    may_move: Sequence[str] = (),
    when: str = "",
    then: Mapping[str, Sequence[str]] | None = None,
) -> migrations.RunSQL:
    """Let nobody delete a row of `table` or change more of it than the columns `may_move`.

    `when` (SQL about OLD) says from when on; `then` gives conditions, in SQL about OLD, under
    which less may move: once a row is superseded, nothing. Not even the owner gets past it.
    """
    stages = [(f"{table}_frozen", "UPDATE OR DELETE", when, may_move)]
    stages += [
        (f"{table}_frozen_{number}", "UPDATE", condition, columns)
        for number, (condition, columns) in enumerate((then or {}).items(), start=1)
    ]
    forward = "".join(
        f"CREATE TRIGGER {name} BEFORE {events} ON {table} FOR EACH ROW "
        f"{f'WHEN ({condition}) ' if condition else ''}"
        f"EXECUTE FUNCTION row_frozen('{{{','.join(columns)}}}');\n"
        for name, events, condition, columns in stages
    )
    backward = "".join(f"DROP TRIGGER {name} ON {table};\n" for name, *_ in stages)
    return migrations.RunSQL(forward, backward)
