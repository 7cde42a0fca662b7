"""The command finds people in what it is given, and says what it could not read."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from poseseg_jax import predict as command
from poseseg_jax.data import named, videos
from poseseg_jax.predictor import Predictor
from poseseg_jax.seeing import Wishes
from tests import documented, tiny_run
from tests.test_videos import Capture


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground, tiny_run.remembering():
        yield ground


@pytest.fixture(scope="module")
def predictor(ground):
    return Predictor.from_workdir(ground.finished, min_score=0.0, square=True)


@pytest.fixture
def pictures(tmp_path):
    """A folder with pictures of all shapes and kinds, and one that is broken."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "in"
    for name, shape in {
        "a/1.jpg": (40, 60, 3),
        "a/2.png": (60, 40),
        "b/1.jpg": (50, 50, 3),
        "3.webp": (30, 90, 3),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 255, shape, np.uint8))
    (folder / "b" / "broken.jpg").write_bytes((folder / "a/1.jpg").read_bytes()[:-99])
    return folder


def run(predictor, output, *words, **wishes):
    inputs, wrong = named.find([str(word) for word in words], output=output)
    assert not wrong
    return command.predict(predictor, inputs, output, wishes=Wishes(**wishes))


def read(output, name="predictions.json"):
    return json.loads((output / name).read_text())


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_every_picture_is_drawn_and_written_down(predictor, pictures, tmp_path, capsys):
    output = tmp_path / "out"
    found = run(predictor, output, pictures)
    names = {"a/1", "a/2", "b/1", "3"}
    drawn = {
        f"{name}_{kind}.png" for name in names for kind in ("pose", "seg", "joint")
    }
    assert files(output) == drawn | {"predictions.json", "images.json"}
    (broken, why) = next(iter(found.skipped.items()))
    assert broken.endswith("b/broken.jpg")
    assert "cut off" in why
    images = read(output, "images.json")["images"]
    assert [image["file_name"] for image in images] == [
        str(pictures / name) for name in ("3.webp", "a/1.jpg", "a/2.png", "b/1.jpg")
    ]
    sizes = [(image["height"], image["width"]) for image in images]
    assert sizes == [(30, 90), (40, 60), (60, 40), (50, 50)]
    assert {name for image in images for name in image["drawn"]} == drawn
    loaded = COCO(output / "images.json").loadRes(str(output / "predictions.json"))
    capsys.readouterr()
    assert len(loaded.anns) == found.num_people > 0


def test_entries_are_what_the_predictor_says(predictor, pictures, tmp_path):
    run(predictor, tmp_path / "out", pictures / "a" / "1.jpg", drawings=())
    path = pictures / "a" / "1.jpg"
    entries = [person.to_coco(1) for person in predictor(path)]
    assert read(tmp_path / "out") == [{**e, "file_name": str(path)} for e in entries]
    assert files(tmp_path / "out") == {"predictions.json", "images.json"}


def test_names_are_ids_where_they_are_numbers(predictor, pictures, tmp_path):
    output = tmp_path / "out"
    run(predictor, output, pictures / "a", drawings=())
    assert {entry["image_id"] for entry in read(output)} == {1, 2}
    run(predictor, output, pictures / "3.webp", drawings=())
    assert {entry["image_id"] for entry in read(output)} == {3}


def test_a_large_picture_is_drawn_smaller_and_described_in_its_own_pixels(
    predictor, tmp_path
):
    image = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    run(predictor, tmp_path / "out", tmp_path / "a.jpg", max_side=600)
    assert cv2.imread(str(tmp_path / "out" / "a_joint.png")).shape == (450, 600, 3)
    sizes = {tuple(e["segmentation"]["size"]) for e in read(tmp_path / "out")}
    assert sizes == {(900, 1200)}


def test_the_example_of_the_readme_runs(monkeypatch, capsys):
    readme = (documented.REPOSITORY / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    in_the_box = Predictor.from_workdir()
    monkeypatch.chdir(documented.REPOSITORY)
    monkeypatch.setattr(Predictor, "from_workdir", lambda workdir: in_the_box)
    space = {}
    exec(example, space)
    assert "nose at" in capsys.readouterr().out
    assert len(space["one"]) == 1
    assert len(space["five"]) >= 5  # who stand close, of whom one may be found twice
    assert {entry["image_id"] for entry in space["entries"]} == {1}


def write_video(path, count):
    generator = np.random.default_rng(1)
    with videos.Recorder(path, 20.0) as recorder:
        for _ in range(count):
            recorder.add(generator.integers(0, 255, (36, 64, 3), np.uint8))
    return path


@pytest.mark.parametrize("every", [1, 3])
def test_a_video_is_drawn_frame_by_frame(predictor, pictures, tmp_path, every):
    path, output = write_video(tmp_path / "walk.mp4", 7), tmp_path / "out"
    wishes = {"every": every, "drawings": ("joint",)}
    found = run(predictor, output, path, pictures / "3.webp", **wishes)
    frames = list(range(0, 7, every))
    images = read(output, "images.json")["images"]
    assert [image.get("frame") for image in images] == [*frames, None]
    assert len({image["id"] for image in images}) == len(images) == found.num_pictures
    assert {e.get("frame") for e in read(output)} == {*frames, None}
    with videos.Frames(output / "walk_joint.mp4") as drawn:
        assert len(list(drawn)) == len(frames)
        assert drawn.rate == pytest.approx(20 / every, rel=1e-3)


def test_a_broken_video_is_left_out(predictor, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    found = run(predictor, tmp_path / "out", tmp_path / "a.mp4")
    assert "no video" in found.skipped[str(tmp_path / "a.mp4")]
    assert read(tmp_path / "out") == []


class Interrupted(Capture):
    """A camera at which somebody presses Ctrl-C in the end."""

    there = 3

    def grab(self):
        if not super().grab():
            raise KeyboardInterrupt
        return True


def test_a_camera_runs_until_ctrl_c(predictor, monkeypatch, tmp_path):
    monkeypatch.setattr(videos.cv2, "VideoCapture", Interrupted)
    found = run(predictor, tmp_path, "camera:0", drawings=("pose",))
    assert found.num_frames == 3
    assert not found.skipped
    assert files(tmp_path) == {"predictions.json", "images.json", "camera0_pose.mp4"}


def test_what_was_found_before_ctrl_c_is_written(predictor, monkeypatch, tmp_path):
    monkeypatch.setattr(videos.cv2, "VideoCapture", Interrupted)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(KeyboardInterrupt):
        run(predictor, tmp_path / "out", tmp_path / "a.mp4", drawings=())
    assert read(tmp_path / "out") is not None


@pytest.mark.parametrize("is_looking", [False, True])
def test_ctrl_c_speaks_of_results_only_where_there_may_be_some(
    pictures, tmp_path, monkeypatch, capsys, is_looking
):
    given = {"workdir": "w", "output": str(tmp_path / "out"), "step": None}
    given |= {"flip": None, "scales": None, "min_score": 0.5, "draw": ["none"]}
    given |= {"max_side": 0, "maps": False, "every": 1, "batch_size": 1}
    given = SimpleNamespace(**given, square=False, set=None)
    monkeypatch.setattr(command.flags, "FLAGS", given)

    def wait(*_, **__):
        raise KeyboardInterrupt

    restore = (lambda *_, **__: None) if is_looking else wait
    monkeypatch.setattr(command.Predictor, "from_workdir", restore)
    monkeypatch.setattr(command, "predict", wait)
    with pytest.raises(SystemExit if is_looking else KeyboardInterrupt):
        command._main(["", str(pictures)])
    assert ("What was found is in" in capsys.readouterr().err) == is_looking


def test_a_list_is_read_from_the_standard_input(pictures):
    listed = [f"{pictures / 'a' / '1.jpg'}\n", "\n", f"  {pictures / '3.webp'}\n", "x"]
    inputs, wrong = command.find_inputs(["-"], listed, output=pictures / "out")
    assert [one.name for one in inputs] == ["1", "3"]
    assert list(wrong) == ["x"]


def test_nothing_to_look_at_is_refused(tmp_path):
    for words in ([], ["-"], [str(tmp_path / "none")]):
        with pytest.raises(ValueError, match="nothing to look at"):
            command.find_inputs(words, [], output=tmp_path)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"drawings": ("poses",)}, "drawings are"),
        ({"every": 0}, "every is 0"),
        ({"max_side": -1}, "max_side is -1"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(wishes, words):
    with pytest.raises(ValueError, match=words):
        Wishes(**wishes)


def test_it_is_a_command_whose_status_says_what_was_left_out(
    ground, pictures, tmp_path
):
    flags = [f"--workdir={ground.finished}", f"--output={tmp_path / 'out'}"]
    flags += ["--square", "--min_score=0", "--draw=none", "--step=best"]
    done = subprocess.run(
        [sys.executable, "-m", "poseseg_jax.predict", *flags, "-"],
        cwd=documented.REPOSITORY,
        env=ground.environment(),
        input=f"{pictures / 'a'}\n{pictures / 'b'}\n{pictures / 'none.jpg'}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in ("broken.jpg", "none.jpg", "3 pictures", "left out, or not whole: 2"):
        assert word in done.stderr
    assert len({e["image_id"] for e in read(tmp_path / "out")}) == 3


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--scales=a", "eval.scales"),
        ("--set=eval.flop=1", "did you mean 'flip'"),
        ("--step=x", "--step is"),
        ("--draw=x", "drawings"),
    ],
)
def test_misuse_is_refused_in_words(ground, pictures, tmp_path, flag, words):
    flags = [f"--workdir={ground.finished}", f"--output={tmp_path / 'out'}", flag]
    done = documented.run("poseseg_jax.predict", *flags, str(pictures))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
