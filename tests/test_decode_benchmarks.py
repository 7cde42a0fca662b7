"""What the benchmarks of decoder and targets measure on, and what they say of it."""

import pytest

from benchmarks import decode, pictures, targets


@pytest.mark.parametrize("benchmark", [decode, targets], ids=lambda m: m.__name__)
def test_the_loops_are_compared_with_ours(benchmark):
    rows = {row.name: row for row in benchmark.main(["--smallest"])}
    loops = [row for name, row in rows.items() if name.endswith("NumPy loops")]
    assert loops
    for row in loops:
        assert row.ratio == pytest.approx(row.value / rows[row.reference].value)
        assert row.ratio > 1


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_a_crowd_has_as_many_people_as_asked_for(count):
    crowd = pictures.crowd(401, count, 64)
    assert (crowd.area > 0).sum() == count
    assert set(crowd.people.flatten().tolist()) == set(range(count + 1))
