"""Benchmarks run, at their smallest; how fast is no matter of tests."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bias, model, report
from benchmarks.__main__ import names
from benchmarks.report import Row
from poseseg_jax.coco.annotations import load
from tests.coco_files import document, image, person, write_json

REPOSITORY = Path(__file__).resolve().parents[1]

ROWS = [
    Row("bare", 1234.5, "pictures/s", "bare", 1.0),
    Row("a long name", 0.01234, "ms", note="by itself"),
]


@pytest.mark.parametrize("name", names())
def test_every_benchmark_runs_at_its_smallest(name, tmp_path, monkeypatch):
    """As a command: it may start processes, and those know nothing of pytest."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--smallest"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "benchmarks.json").read_text())[name]
    assert result["arguments"] == ["--smallest"]
    assert result["machine"]["cores"] >= 1
    for row in result["rows"]:
        assert row["name"] in done.stdout
        assert np.isfinite(row["value"])
        assert row["unit"]


def test_every_benchmark_is_found():
    assert "loader" in names()
    assert not {"report", "loader_stages"} & set(names())


def test_a_table_has_its_columns_aligned():
    lines = report.table(ROWS).splitlines()
    assert lines[0].split() == ["what", "value", "unit", "of", "ratio", "note"]
    place = lines[0].index("unit")
    assert [line[place:].split()[0] for line in lines[1:]] == ["pictures/s", "ms"]
    assert "1234" in lines[1]
    assert "0.01234" in lines[2]


def test_results_are_merged_by_benchmark(tmp_path):
    path = tmp_path / "benchmarks.json"
    report.keep(path, "one", ROWS, [])
    report.keep(path, "two", ROWS[:1], ["--x=1"])
    report.keep(path, "one", ROWS[1:], [])
    results = json.loads(path.read_text())
    assert [len(results[name]["rows"]) for name in ("one", "two")] == [1, 1]
    assert results["two"]["arguments"] == ["--x=1"]
    assert {"date", "machine", "versions"} < results["one"].keys()


def test_tasks_alternate():
    order = []
    tasks = {name: lambda name=name: order.append(name) or len(order) for name in "ab"}
    assert report.alternate(tasks, 2) == {"a": [1, 3], "b": [2, 4]}
    assert order == list("abab")


def test_ratios_compare_what_was_measured_side_by_side():
    assert report.median_ratio([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0


def test_peak_memory_is_what_the_work_needed():
    def work():
        return int(np.ones(50 * 2**20, np.uint8)[::4096].sum())

    result, mebibytes = report.peak_memory(work)
    assert result == 50 * 2**20 // 4096
    assert 45 < mebibytes < 100


def test_broken_arguments_are_refused_in_words(tmp_path):
    loader = importlib.import_module("benchmarks.loader")
    with pytest.raises(ValueError, match="--images"):
        loader.main([f"--annotations={tmp_path}"])


def test_a_file_of_ones_own_is_measured(tmp_path):
    people = [person(i, i) for i in range(1, 9)] + [person(9, 8)]
    content = document([image(i) for i in range(1, 9)], people)
    rows = bias.main([f"--annotations={write_json(tmp_path / 'mine.json', content)}"])
    assert "mine.json" in rows[0].note
    values = {row.name for row in rows}
    assert all(row.reference in values for row in rows if row.ratio is not None)


def test_multiply_adds_are_about_as_many_as_published():
    """1.81 G for a ResNet-18 at 224 px, with those on padding."""
    cost = model.backbone_cost(
        "resnet18", bottleneck_stride="3x3", output_stride=32, size=224
    )
    assert 1.6e9 < cost.multiply_adds < 1.82e9
    assert cost.parameters == 11_176_512


def test_the_page_about_the_network_has_the_benchmarks_figures():
    page = (REPOSITORY / "docs" / "model.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith("| `resnet18`"))
    _, parameters, *multiply_adds = line.replace(" G", "").strip("|").split("|")
    found = [
        model.backbone_cost(
            "resnet18", bottleneck_stride="3x3", output_stride=stride, size=641
        )
        for stride in (32, 16, 8)
    ]
    assert float(parameters) == round(found[0].parameters / 1e6, 2)
    figures = [round(cost.multiply_adds / 1e9, 1) for cost in found]
    assert [float(cell) for cell in multiply_adds[:3]] == figures


def test_the_made_up_file_has_cocos_head_counts(tmp_path):
    bias.make_up(tmp_path / "a.json", num_pictures=1000)
    heads = [picture.head_count for picture in load(tmp_path / "a.json").pictures]
    assert len(heads) == 1000
    assert 0.44 < heads.count(1) / 1000 < 0.52
    assert max(heads) == 13
