"""What a command line names is found once, under a name of its own."""

from pathlib import Path

import pytest

from poseseg_jax.data import named
from poseseg_jax.data.named import Input


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (
        *("a/1.jpg", "a/2.PNG", "a/deep/1.jpg", "b/1.jpg", "b/1.png", "c/walk.mp4"),
        *("a/.hidden.jpg", "a/.trash/x.jpg", "a/notes.txt", "out/1_pose.png"),
    ):
        Path(path).parent.mkdir(exist_ok=True, parents=True)
        Path(path).touch()
    return tmp_path


def found(*words, output="out"):
    inputs, wrong = named.find(words, output=Path(output))
    assert not wrong
    return {str(one): one.name for one in inputs}


CASES = {
    "a file": (["a/1.jpg"], {"a/1.jpg": "1"}),
    "a folder": (
        ["a"],
        {"a/1.jpg": "1", "a/2.PNG": "2", "a/deep/1.jpg": "deep/1"},
    ),
    "the same names": (
        ["a/1.jpg", "b/1.jpg", "b/1.png"],
        {"a/1.jpg": "1", "b/1.jpg": "1_jpg", "b/1.png": "1_png"},
    ),
    "the same names, again and again": (
        ["a/1.jpg", "b/1.jpg", "a/deep/1.jpg"],
        {"a/1.jpg": "1", "b/1.jpg": "1_jpg", "a/deep/1.jpg": "1_jpg_2"},
    ),
    "the same file twice": (["b/1.jpg", "a/../b/1.jpg", "b/1.jpg"], {"b/1.jpg": "1"}),
    "a pattern": (
        ["*/1.jpg"],
        {"a/1.jpg": "1", "b/1.jpg": "1_jpg"},
    ),
    "a deep pattern": (["a/**/*.jpg"], {"a/1.jpg": "1", "a/deep/1.jpg": "1_jpg"}),
    "a video": (["c/walk.mp4"], {"c/walk.mp4": "walk"}),
    "a camera": (["camera:1"], {"camera:1": "camera1"}),
}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("case", CASES)
def test_names_are_their_own(case):
    words, expected = CASES[case]
    assert found(*words) == expected


@pytest.mark.usefixtures("files")
def test_own_results_are_no_input():
    assert not [name for name in found(".") if "out" in name]
    assert "out/1_pose.png" in found(".", output="elsewhere")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "words", [["."], ["**/*.png"], ["b/1.png", "out/1_pose.png"], ["b", "out"]]
)
@pytest.mark.parametrize("output", ["out", "a/../out", "link", "{folder}/a/../out"])
def test_own_results_are_no_input_however_they_and_the_output_are_named(words, output):
    Path("link").symlink_to("out")
    output = Path(output.format(folder=Path.cwd()))
    inputs, _ = named.find(words, output=output)
    assert inputs
    assert not [one for one in inputs if one.name.endswith("_pose")]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("word", ["a", "a/deep", "a/1.jpg", "a/*.jpg", "./b/../a"])
def test_what_lies_in_the_output_is_said_to(word):
    inputs, wrong = named.find([word, "b/1.jpg"], output=Path("a"))
    assert [one.name for one in inputs] == ["1"]
    assert "lies in --output" in wrong[word]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("none.jpg", "no such file"),
        ("none/*.jpg", "matches no file"),
        ("c", "without pictures"),
    ],
)
def test_what_names_nothing_is_said(word, why):
    inputs, wrong = named.find([word, "a/1.jpg"], output=Path("out"))
    assert len(inputs) == 1
    assert why in wrong[word]


def test_moving_pictures_are_known():
    assert Input(Path("a.MP4"), "a").is_moving
    assert Input(0, "camera0").is_moving
    assert not Input(Path("a.jpg"), "a").is_moving


@pytest.mark.usefixtures("files")
def test_names_differ_where_a_file_system_knows_no_case():
    Path("b/A.jpg").touch()
    Path("c/a.jpg").touch()
    assert set(found("b/A.jpg", "c/a.jpg").values()) == {"A", "a_jpg"}
