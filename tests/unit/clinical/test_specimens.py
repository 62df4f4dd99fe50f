"""What was sampled, in words."""

import pytest

from clinical.specimens import sampled, without_tag


@pytest.mark.parametrize(
    ("kind", "site", "words"),
    [
        ("Tissue", "Liver", "Tissue from liver"),
        ("Core biopsy", "left breast", "Core biopsy from left breast"),
        ("Tissue", "LIVER SEGMENT 4", "Tissue from LIVER SEGMENT 4"),
        ("", "Bone", "Sample from bone"),
        ("Serum", "", "Serum"),
        ("Tissue", "Breast; Liver", "Tissue from breast; Liver"),
        ("", "", ""),
        ("Tissue", "L", "Tissue from l"),
    ],
)
def test_a_sample_is_told_with_its_site(kind: str, site: str, words: str) -> None:
    assert sampled(kind, site) == words


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Liver structure (body structure)", "Liver structure"),
        ("Tissue specimen (specimen)", "Tissue specimen"),
        ("Left breast (upper)", "Left breast (upper)"),
        ("", ""),
    ],
)
def test_the_tag_of_a_terminology_is_no_word_for_people(name: str, plain: str) -> None:
    assert without_tag(name) == plain
