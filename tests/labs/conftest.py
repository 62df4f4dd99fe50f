"""What tests of laboratory reading share. Rows are filed as intake files them."""

import pytest

from labs.models import SendingLaboratory
from tests.cast import Cast
from tests.labs.results import make_laboratory
from tests.tokens import Api, api_of

LABS = "labs.read"


@pytest.fixture
def laboratory(cast: Cast) -> SendingLaboratory:
    return make_laboratory(cast.clinic)


@pytest.fixture
def as_anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, LABS)
