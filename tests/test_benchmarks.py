"""Benchmarks run and say what they compare; how fast things are is no test."""

import importlib
import json
import math

import pytest

from benchmarks import __main__, bias, report
from benchmarks.report import Row
from poseseg_jax.coco.annotations import load
from tests.coco_files import document, image, person, write_json


@pytest.mark.parametrize("name", __main__.names())
def test_every_ratio_is_to_a_row_of_the_same_run(name):
    rows = importlib.import_module(f"benchmarks.{name}").main(["--smallest"])
    values = {row.name: row.value for row in rows}
    assert len(values) == len(rows)
    assert all(map(math.isfinite, values.values()))
    compared = [row for row in rows if row.ratio is not None]
    assert compared
    assert all(row.reference in values for row in compared)


def test_a_file_of_ones_own_is_measured(tmp_path):
    people = [person(i, i) for i in range(1, 9)] + [person(9, 8)]
    content = document([image(i) for i in range(1, 9)], people)
    rows = bias.main([f"--annotations={write_json(tmp_path / 'mine.json', content)}"])
    assert "mine.json" in rows[0].note


def test_the_made_up_file_has_cocos_head_counts(tmp_path):
    bias.make_up(tmp_path / "a.json", num_pictures=1000)
    heads = [picture.head_count for picture in load(tmp_path / "a.json").pictures]
    assert len(heads) == 1000
    assert 0.44 < heads.count(1) / 1000 < 0.52
    assert max(heads) == 13


def test_results_are_kept_by_name_and_replaced(tmp_path):
    path = tmp_path / "benchmarks.json"
    report.keep(path, "one", [Row("a", 1.0, "s")], [])
    report.keep(path, "two", [Row("b", 2.0, "s", "a", 2.0)], ["--repeats=3"])
    report.keep(path, "one", [Row("a", 3.0, "s")], [])
    kept = json.loads(path.read_text())
    assert kept["one"]["rows"][0]["value"] == 3.0
    assert kept["two"]["rows"][0]["ratio"] == 2.0
    assert kept["two"]["arguments"] == ["--repeats=3"]
    assert kept["one"]["machine"]["cores"] > 0


def test_a_table_has_a_line_for_each_row():
    rows = [Row("slow", 2000.0, "s"), Row("fast", 0.5, "s", "slow", 0.00025, "a note")]
    header, slow, fast = report.table(rows).splitlines()
    assert header.split() == ["what", "value", "unit", "of", "ratio", "note"]
    assert slow.split() == ["slow", "2000", "s"]
    assert fast.split() == ["fast", "0.5", "s", "slow", "0.00", "a", "note"]


def test_alternating_runs_all_in_turn():
    seen = []
    found = report.alternate(
        {name: lambda name=name: seen.append(name) or len(seen) for name in "ab"}, 2
    )
    assert seen == ["a", "b", "a", "b"]
    assert found == {"a": [1, 3], "b": [2, 4]}
    assert report.median_ratio([2.0, 9.0, 3.0], [1.0, 3.0, 1.0]) == 3.0
