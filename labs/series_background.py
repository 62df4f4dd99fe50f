"""What PostgreSQL has to know of a series: which results share a line, and what stands behind it.

The columns stand beside the rows, so that a trend stays one statement.
"""

from functools import cache
from uuid import UUID

import orjson
from django.db.models import Func, TextField, Value
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.functions import Coalesce, NullIf

from clinical.analytes import method_families
from clinical.trend import MOLAR

_TREATMENTS = """
SELECT coalesce(json_agg(json_build_array(f.code, f.detail, f.starts_on, f.ends_on)
  ORDER BY f.starts_on, f.id), '[]')::text
FROM patients_profilefact f
WHERE f.patient_id = %s AND f.kind = 'treatment' AND f.result = 'present'
  AND f.superseded_at IS NULL AND f.starts_on IS NOT NULL
"""
# A baseline from a result that was taken back (another patient's, say) is none.
_BASELINE = """
SELECT json_build_array(b.value::text, b.unit_ucum)::text
FROM labs_analytebaseline b
WHERE b.patient_id = %s AND b.analyte_key = %s AND NOT EXISTS (
  SELECT 1 FROM labs_observation o WHERE o.id = b.observation_id AND o.withdrawn_at IS NOT NULL)
ORDER BY b.set_at DESC, b.id DESC LIMIT 1
"""

_SEX = "SELECT p.sex FROM patients_patient p WHERE p.id = %s"


@cache
def _families() -> str:
    return orjson.dumps(dict(method_families())).decode()


def method_family(loinc: Combinable) -> Func:
    """Return the method family of a LOINC code as a column: a line stays inside one."""
    return Func(
        Value(_families()),
        loinc,
        template="coalesce((%(expressions)s), '')",
        arg_joiner="::jsonb ->> ",
        output_field=TextField(),
    )


def unit_family(dimension: Combinable) -> Coalesce:
    """Return the dimension of a unit as a column, equal where a conversion is exact."""
    one, other = sorted(MOLAR)
    return Coalesce(NullIf(dimension, Value(one)), Value(other))


def treatments_column(patient_id: UUID) -> RawSQL:
    """Return her recorded treatments that have a start, oldest first, as JSON text."""
    return RawSQL(_TREATMENTS, [patient_id], output_field=TextField())  # noqa: S611


def baseline_column(patient_id: UUID, analyte_key: str) -> RawSQL:
    """Return the baseline that a clinician set, as JSON text; null when there is none."""
    return RawSQL(_BASELINE, [patient_id, analyte_key], output_field=TextField())  # noqa: S611


def sex_column(patient_id: UUID) -> RawSQL:
    """Return her recorded sex: some tests vary more in women than in men."""
    return RawSQL(_SEX, [patient_id], output_field=TextField())  # noqa: S611
