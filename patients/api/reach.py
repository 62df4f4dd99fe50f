"""What the bearer of a token is to the record in the address, from the token's own statement."""

from accounts.api.authentication import BearerToken, BesideToken
from core.errors import NotFound
from patients.viewer import REACH_COLUMNS, Reach, record_wanted

REACH_BESIDE_TOKEN = BesideToken(
    columns=", ".join(f"r.{column}" for column in REACH_COLUMNS),
    joins="LEFT JOIN LATERAL resolve_reach(u.id, %s) r ON true",
    parameters=lambda address: [record_wanted(address["patient_ref"])],
)


def reach_of(token: BearerToken) -> Reach:
    """Return what the person behind `token` is to the record. Raises: NotFound when nothing."""
    if token.beside[0] is None:
        raise NotFound()
    return Reach.of(token.beside)
