"""The benchmarks of decoder and targets run, and say what they are asked to."""

import pytest

from benchmarks import decode, pictures, targets


@pytest.mark.parametrize("benchmark", [decode, targets], ids=lambda m: m.__name__)
def test_a_benchmark_gives_rows_with_units_and_ratios(benchmark, capsys):
    rows = benchmark.main(["--smallest"])
    printed = capsys.readouterr().out
    assert all(row["name"] in printed for row in rows)
    assert {row["unit"] for row in rows} == {"ms", "MiB"}
    oracle = [row for row in rows if "oracle" in row["name"] and row["unit"] == "ms"]
    assert oracle
    assert all(row["ratio"] > 1 for row in oracle)
    assert all(row["value"] > 0 for row in rows if row["unit"] == "ms")


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_a_crowd_has_as_many_people_as_asked_for(count):
    crowd = pictures.crowd(401, count, 64)
    assert (crowd.area > 0).sum() == count
    assert set(crowd.people.flatten().tolist()) == set(range(count + 1))
