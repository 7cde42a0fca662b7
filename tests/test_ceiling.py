"""The ceiling of every variant, measured once for each code and config."""

import dataclasses
import json

import pytest

from experiments import ceiling
from experiments.grid import Variant
from tests.test_grid import QUESTION, runs_of

STRIDES = {"fine": 2, "usual": 4, "usual again": 4}


@pytest.fixture
def measured(monkeypatch):
    """The map strides that were measured; a perfect network scores 1 / stride."""
    asked = []

    def measure(what, pictures, truth):
        assert (pictures, truth) == ("people of truth.json", "truth.json")
        stride = what.representation.map_stride
        asked.append(stride)
        return {"keypoints/AP": 1 / stride, "segm/AP": None, "images": 3}

    class Truth:
        val_annotations = "truth.json"

    class Labels:
        def __init__(self, path):
            self.pictures = f"people of {path}"

    monkeypatch.setattr(ceiling.perfect, "measure", measure)
    monkeypatch.setattr(ceiling, "prepare", lambda settings: Truth)
    monkeypatch.setattr(ceiling.annotations, "load", Labels)
    monkeypatch.setattr(ceiling.provenance, "commit", lambda: "abc")
    return asked


def grid(folder):
    def variants(config):
        del config
        return [
            Variant(name, {"representation.map_stride": stride, "train.batch_size": n})
            for n, (name, stride) in enumerate(STRIDES.items(), start=2)
        ]

    experiment = dataclasses.replace(QUESTION, variants=variants, baseline="usual")
    return runs_of(experiment, folder, seeds=2)


def test_every_variant_has_the_score_of_its_maps(measured, tmp_path):
    found = ceiling.ceilings(grid(tmp_path), tmp_path / "known.json")
    assert found == {
        name: {"keypoints": 1 / stride, "segm": None}
        for name, stride in STRIDES.items()
    }


def test_seeds_and_variants_with_the_same_maps_are_measured_once(measured, tmp_path):
    ceiling.ceilings(grid(tmp_path), tmp_path / "known.json")
    assert measured == [2, 4]


def test_what_the_same_code_has_measured_is_known(measured, tmp_path, monkeypatch):
    path = tmp_path / "known.json"
    first = ceiling.ceilings(grid(tmp_path), path)
    assert ceiling.ceilings(grid(tmp_path), path) == first
    assert measured == [2, 4]
    assert len(json.loads(path.read_text())) == 2
    monkeypatch.setattr(ceiling.provenance, "commit", lambda: "def")
    ceiling.ceilings(grid(tmp_path), path)
    assert measured == [2, 4, 2, 4]


@pytest.mark.parametrize(
    "commit", ["abc, with changes", "unknown: not a git repository"]
)
def test_what_code_without_a_commit_has_measured_is_not_remembered(
    commit, measured, tmp_path, monkeypatch
):
    monkeypatch.setattr(ceiling.provenance, "commit", lambda: commit)
    path = tmp_path / "known.json"
    ceiling.ceilings(grid(tmp_path), path)
    assert not path.exists()
    ceiling.ceilings(grid(tmp_path), path)
    assert measured == [2, 4, 2, 4]


def test_what_was_remembered_of_other_code_stays(measured, tmp_path, monkeypatch):
    path = tmp_path / "known.json"
    ceiling.ceilings(grid(tmp_path), path)
    before = path.read_text()
    monkeypatch.setattr(ceiling.provenance, "commit", lambda: "abc, with changes")
    ceiling.ceilings(grid(tmp_path), path)
    assert path.read_text() == before
