"""The groups of a page of results."""

from hypothesis import given
from hypothesis import strategies as st

from clinical.analytes import analytes
from clinical.panels import OTHER, grouped, panel_of, panels


def test_every_analyte_has_exactly_one_group() -> None:
    named = [key for panel in panels() for key in panel.analyte_keys]
    assert len(named) == len(set(named))
    assert set(named) == {analyte.key for analyte in analytes()}


def test_the_last_group_takes_what_no_other_names() -> None:
    assert panels()[-1].key == OTHER
    assert panel_of("") == panel_of("unobtainium") == panel_of("glucose") == OTHER
    assert panel_of("alt") == "liver"
    assert panel_of("ca_15_3") == "tumour_markers"


def test_groups_come_in_the_order_of_the_page_and_results_in_that_of_the_group() -> None:
    sent = ["platelets", "", "albumin", "glucose", "hemoglobin", "alt", "alt"]
    shown = [(panel.key, at) for panel, at in grouped(sent)]
    assert shown == [("liver", [5, 6, 2]), ("blood_count", [4, 0]), ("other", [3, 1])]
    assert grouped([]) == []


@given(st.lists(st.sampled_from([*(analyte.key for analyte in analytes()), "", "x"])))
def test_nothing_is_lost_and_nothing_doubled(keys: list[str]) -> None:
    groups = grouped(keys)
    assert sorted(at for _, positions in groups for at in positions) == list(range(len(keys)))
    assert all(panel_of(keys[at]) == panel.key for panel, positions in groups for at in positions)
