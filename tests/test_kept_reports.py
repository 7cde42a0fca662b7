"""Reports that are kept with the experiments: whole, and none in another's place."""

import json
from pathlib import Path

import pytest

from experiments import readme


@pytest.fixture
def reports(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "REPORTS", tmp_path / "experiments" / "reports")
    (tmp_path / "experiments").mkdir()
    return readme.REPORTS


def output(folder, *, name="losses", data="embedded", **files):
    folder.mkdir(parents=True)
    summary = {"name": name, "data": data, "outcome": "It rained."}
    (folder / "summary.json").write_text(json.dumps(summary))
    for file, text in files.items():
        (folder / file.replace("_", ".")).write_text(text)
    return folder


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_report_is_kept_without_its_runs(reports, tmp_path):
    made = output(tmp_path / "runs/losses", report_md="new", scores_png="p", log_txt="")
    (made / "runs").mkdir()
    assert readme.add(made) == reports / "losses"
    assert sorted(texts(reports / "losses")) == [
        "report.md",
        "scores.png",
        "summary.json",
    ]


def test_a_newer_report_takes_the_place_of_the_old_one_as_a_whole(reports, tmp_path):
    readme.add(output(tmp_path / "a/losses", report_md="old", time_png="old"))
    readme.add(output(tmp_path / "b/losses", report_md="new"))
    kept = texts(reports / "losses")
    assert (kept["report.md"], sorted(kept)) == ("new", ["report.md", "summary.json"])
    assert [path.name for path in reports.parent.iterdir()] == ["reports"]


@pytest.mark.parametrize("way", ["{}/losses", "{}/../reports/losses", "{}/losses/sub"])
def test_what_is_kept_already_is_not_added_to_itself(reports, tmp_path, way):
    readme.add(output(tmp_path / "runs/losses", report_md="kept"))
    output(reports / "losses/sub")
    with pytest.raises(ValueError, match="is kept already; expected the output of an"):
        readme.add(Path(way.format(reports)))
    assert (reports / "losses/report.md").read_text() == "kept"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"name": "backbone"}, "losses on embedded, not of backbone on embedded"),
        ({"data": "coco"}, "losses on embedded, not of losses on coco"),
    ],
)
def test_a_report_of_something_else_is_not_replaced(reports, tmp_path, other, words):
    kept = readme.add(output(tmp_path / "a/one", report_md="kept"))
    with pytest.raises(ValueError, match=f"holds the report of {words}: give the out"):
        readme.add(output(tmp_path / "b/one", report_md="other", **other))
    assert (kept / "report.md").read_text() == "kept"


def test_a_copy_that_fails_leaves_the_old_report(reports, tmp_path, monkeypatch):
    kept = readme.add(output(tmp_path / "a/losses", report_md="old"))

    def fail(path, folder):
        raise OSError("No space left on device")

    monkeypatch.setattr(readme.shutil, "copy", fail)
    with pytest.raises(OSError, match="No space"):
        readme.add(output(tmp_path / "b/losses", report_md="new"))
    assert (kept / "report.md").read_text() == "old"
    assert [path.name for path in reports.parent.iterdir()] == ["reports"]


def test_a_folder_without_a_report_is_refused(reports, tmp_path):
    with pytest.raises(ValueError, match=r"holds no summary\.json, so no report"):
        readme.add(tmp_path)
    assert not reports.exists()
