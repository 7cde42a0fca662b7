"""Calls that know nothing of each other make one training, and bring it home."""

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.coco_mini import parts
from poseseg_jax import inference
from tests import coco_files, tiny_run
from tests.coco_files import image, person
from tests.documented import REPOSITORY

GO = REPOSITORY / "experiments" / "coco_mini" / "go.sh"
SIZE = {"height": 120, "width": 160}
STEPS = 4
WEIGHTS = "resnet50_v1_imagenet_stem_layer1-3.safetensors"
# A network that tests can afford, and no weights that it could begin with.
TINY = {
    "data.num_workers": 0,
    "model.backbone": "tiny",
    "model.width": 0.1,
    "model.neck_channels": 8,
    "model.pretrained": "",
    "model.pretrained_partial": False,
    "model.dtype": "float32",
    "model.bottleneck_stride": "3x3",
    "representation.radius": 6.0,
    "train.num_steps": STEPS,
    "train.image_size": 65,
    "train.batch_size": 4,
    "train.log_every": 1,
    "checkpoint.every_steps": 2,
    "eval.batch_size": 4,
    "eval.overlays": 1,
    "eval.worst": 0,
}
# In the place of Python: a training that ends only when it is asked to, as ours does.
SLOW = """\
#!/usr/bin/env bash
trap 'echo saved >>"$B/saved"; exit 143' TERM
echo "begun: $*"
while true; do sleep 0.1; done
"""
LATE = SLOW.replace("exit 143", "sleep 3; exit 143")
BROKEN = "#!/usr/bin/env bash\necho no such thing\nexit 1\n"


def go(folder, *words, **variables):
    """A stage as a shell that has just been opened runs it; status and what it says."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "B": "b"}
    done = subprocess.run(
        [str(GO), *words],
        cwd=folder,
        env={**environment, "PYTHON": sys.executable, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def luggage(tmp_path):
    """Parts of eight pictures to train on, three to score on, and of weights."""
    images = {
        "train": [image(number, **SIZE) for number in range(1, 9)],
        "val": [image(number, **SIZE) for number in (101, 102, 103)],
    }
    documents = {
        split: coco_files.document(
            entries, [person(e["id"], e["id"], box=(30, 20, 60, 70)) for e in entries]
        )
        for split, entries in images.items()
    }
    root = coco_files.write_folder(tmp_path / "coco_persons_mini", documents)
    listed = root / "annotations" / "val2017_unseen_by_peers.txt"
    listed.write_text("101\n103\n")
    (tmp_path / WEIGHTS).write_bytes(b"of no use to a tiny network")
    parts.pack([root, tmp_path / WEIGHTS], tmp_path / "parts")
    return tmp_path / "parts"


def test_from_parts_to_a_network_at_home(luggage, tmp_path_factory, tmp_path):
    changes = [f"--config.{name}={value}" for name, value in TINY.items()]
    with tiny_run.ground(tmp_path_factory) as ground:
        fast = ground.environment()
    quick = {name: fast[name] for name in fast if name.startswith("JAX_")}
    status, said = go(tmp_path, "join", str(luggage))
    assert (status, WEIGHTS in said) == (0, True), said
    assert "there already" in go(tmp_path, "join", str(luggage))[1]
    assert (tmp_path / "b" / "coco_persons_mini" / "train2017").is_dir()
    few = {"NUMBER": "3", "HELD_OUT": "2"}
    status, said = go(tmp_path, "data", *changes, **few, **quick)
    assert status == 0, said
    made = tmp_path / "b" / "inspected" / "statistics.md"
    assert made.is_file()
    status, said = go(tmp_path, "train", "600", *changes, **quick)
    assert (status, "the training is finished" in said) == (0, True), said
    assert "Preparing" not in (tmp_path / "b" / "log").read_text()
    status, said = go(tmp_path, "home", "out", **quick)
    assert status == 0, said
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(found) <= 8
    with tarfile.open(tmp_path / "out" / "text.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    wanted = {"log", "splits.json", "paste.json", "statistics.md", "config.json"}
    wanted |= {"metrics.json", "metrics.jsonl", "per_picture.csv"}
    assert wanted | {"results_keypoints.json", "results_segm.json"} <= names
    parts.join(tmp_path / "out" / "network", tmp_path / "home")
    trained = inference.restore(tmp_path / "home" / "model")
    assert trained.step == STEPS
    assert np.isfinite(trained.variables["params"]["heads"]["mid"]["kernel"]).all()
    # And a fresh machine begins with it.
    begin = {"init.workdir": "home/model", "init.what": "all"}
    begin |= {"optim.learning_rate": 3e-4, "optim.warmup_steps": 200}
    changes += [f"--config.{name}={value}" for name, value in begin.items()]
    status, said = go(tmp_path, "train", "600", *changes, RUN="again", **quick)
    assert (status, "the training is finished" in said) == (0, True), said
    assert "from home/model, step 4" in (tmp_path / "b" / "log").read_text()
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["init"]["step"] in (0, STEPS)


def test_a_training_outlives_the_call_and_is_stopped_when_it_has_saved(tmp_path):
    slow = {"PYTHON": program(tmp_path / "slow", SLOW)}
    try:
        status, said = go(tmp_path, "train", "0", "--config.x=y", **slow)
        assert (status, "goes on" in said) == (0, True), said
        assert "--config.x=y" in said
        assert go(tmp_path, "train", "1", "--config.x=y", **slow)[0] == 0  # it goes on
        for words, other in ((["--config.x=z"], {}), (["--config.x=y"], {"RUN": "r"})):
            status, said = go(tmp_path, "train", "1", *words, **slow, **other)
            assert (status, "is at work, with RUN=" in said) == (1, True), said
        status, said = go(tmp_path, "wait", "0", **slow)
        assert (status, "goes on" in said, said.count("begun")) == (0, True, 1)
    finally:
        status, said = go(tmp_path, "stop", **slow)
    assert (status, "was stopped" in said) == (0, True), said
    assert (tmp_path / "b" / "saved").read_text() == "saved\n"
    assert "was stopped" in go(tmp_path, "stop", **slow)[1]


def test_a_training_that_fails_is_told_by_the_status(tmp_path):
    broken = {"PYTHON": program(tmp_path / "broken", BROKEN)}
    status, said = go(tmp_path, "train", "20", **broken)
    assert (status, "failed with status 1" in said) == (1, True)
    assert "no such thing" in said


@pytest.mark.parametrize("words", [[], ["fly"], ["train"], ["wait", "long"], ["home"]])
def test_what_is_no_stage_is_refused_in_words(tmp_path, words):
    status, said = go(tmp_path, *words)
    assert (status, said.startswith("go.sh: ")) == (1, True)


def test_a_misspelt_stage_leaves_nothing_behind(tmp_path):
    go(tmp_path, "trian", "5")
    assert not list(tmp_path.iterdir())


def test_a_training_that_takes_its_time_is_asked_to_stop_once(tmp_path):
    """At a second signal it would end at once, and save nothing."""
    late = program(tmp_path / "late", LATE)
    try:
        assert go(tmp_path, "train", "0", PYTHON=late)[0] == 0
        first = subprocess.Popen(
            [str(GO), "stop"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "B": "b"},
            stdout=subprocess.DEVNULL,
        )
        while not (tmp_path / "b" / "asked").exists():
            assert first.poll() is None
            time.sleep(0.05)
    finally:
        status, said = go(tmp_path, "stop")
    assert (status, "was stopped" in said) == (0, True), said
    assert first.wait() == 0
    assert (tmp_path / "b" / "saved").read_text() == "saved\n"


def test_what_was_pasted_stays_and_another_number_is_refused(tmp_path):
    (tmp_path / "b" / "S").mkdir(parents=True)
    (tmp_path / "b" / "P").mkdir()
    (tmp_path / "b" / "P" / "paste.json").write_text('{\n  "made": 300,\n  "x": 1\n}')
    status, said = go(tmp_path, "data", NUMBER="30")
    assert (status, "NUMBER is 30" in said) == (1, True), said
    quiet = program(tmp_path / "quiet", "#!/usr/bin/env bash\n")
    status, said = go(tmp_path, "data", NUMBER="300", PYTHON=quiet)
    assert (status, said.count("stays as it is")) == (0, 2), said


def test_a_killed_training_is_told_from_one_that_runs(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "log").touch()
    (tmp_path / "b" / "pid").write_text(str(os.getpid()))  # of somebody else by now
    status, said = go(tmp_path, "wait", "5")
    assert (status, "was killed" in said) == (1, True)
