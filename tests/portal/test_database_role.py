"""A role that row security does not bind must not serve."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections

from portal.database_role import check_database_role, faults_of_role, refuse_unsafe_role

pytestmark = pytest.mark.django_db(databases=["default", "owner"])


def test_the_run_time_role_may_serve() -> None:
    assert faults_of_role(connection) == []
    assert check_database_role(databases=["default"]) == []


def test_the_owner_may_not_serve() -> None:
    assert "owns tables" in faults_of_role(connections["owner"])


def test_the_first_connection_of_the_owner_is_refused_in_production(settings) -> None:
    class OwnersConnection:
        """The owner's connection under the name that serves."""

        alias = "default"
        closed = False

        def cursor(self):
            return connections["owner"].cursor()

        def close(self) -> None:
            self.closed = True

    serving = OwnersConnection()
    refuse_unsafe_role(connection=serving)
    settings.REFUSE_UNSAFE_DATABASE_ROLE = True
    with pytest.raises(ImproperlyConfigured, match="owns tables"):
        refuse_unsafe_role(connection=serving)
    assert serving.closed
    refuse_unsafe_role(connection=connection)
