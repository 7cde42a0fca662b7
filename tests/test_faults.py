"""Every fault is met as the table in docs/survival.md says."""

import pytest

from tests import faults, tiny_run


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground, tiny_run.remembering():
        yield ground


# Where there is no room, threads of Orbax' say so before they end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault", faults.FAULTS, ids=[f.name for f in faults.FAULTS])
def test_a_fault_is_met_as_the_document_says(fault, ground, tmp_path):
    row = faults.row(fault, faults.said_of(fault, ground, tmp_path))
    assert row in faults.DOCS.read_text().splitlines(), "run python -m tests.faults"
