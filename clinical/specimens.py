"""Say in plain words what was sampled and from where.

Public: `sampled(specimen_type, body_site)`, `without_tag(name)`, `SEVERAL`.

A receptor or HER2 result of a metastasis is not that of the primary tumour, so the site stands
beside it. Source: ASCO 2015 guideline on biomarkers in metastatic breast cancer (Van Poznak et
al., J Clin Oncol 33:2695), which asks to test metastases anew; HL7 table 0487 (specimen type);
SNOMED CT fully specified names, whose semantic tag ends the name in brackets.
"""

import re
from typing import Final

# Between the words of several specimens, where a result could be about any of them.
SEVERAL: Final = "; "
_TAG: Final = re.compile(r" \((?:body structure|specimen|substance|morphologic abnormality)\)$")


def without_tag(name: str) -> str:
    """Return a name without the semantic tag of SNOMED CT."""
    return _TAG.sub("", name.strip())


def sampled(specimen_type: str, body_site: str) -> str:
    """Return "Tissue from liver", as far as the laboratory said so; "" when it said nothing."""
    if not body_site:
        return specimen_type
    # A name in capitals is an abbreviation or a habit; only a first letter is a sentence's.
    site = body_site if body_site[1:2].isupper() else f"{body_site[:1].lower()}{body_site[1:]}"
    return f"{specimen_type or 'Sample'} from {site}"
