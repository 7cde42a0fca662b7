"""The fuzzers, briefly, and everything that they have found."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import NAMES, Watched, inputs
from tests.fuzz_targets import TARGETS

EXAMPLES = {"annotations": 60, "segmentation": 150, "picture": 60}
# Name -> target and input; those of annotations are cases in bad_input.py.
FOUND: dict[str, tuple[str, bytes]] = {}


@pytest.mark.parametrize("name", NAMES)
def test_readers_keep_their_promise(name):
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES[name], suppress_health_check=list(HealthCheck))
    @given(inputs(name, target.seeds()))
    def examples(data):
        target.run(data)

    examples()


@pytest.mark.parametrize("name", NAMES)
def test_readers_keep_their_promise_of_what_the_others_are_made_of(name):
    for data in TARGETS[name].seeds():
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name):
    target, data = FOUND[name]
    TARGETS[target].run(data)


def test_a_finding_ends_the_run_and_leaves_its_input(tmp_path):
    def crash(data):
        raise KeyError(data)

    watched = Watched(crash, tmp_path)
    with pytest.raises(KeyError):
        watched(b"some input")
    assert (watched.executions, watched.last.read_bytes()) == (1, b"some input")
