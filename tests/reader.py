"""A reader who types what pages say, in a folder that holds what they speak of.

Everything is made small first: sixteen pictures of drawn people stand for COCO, four
steps of a tiny network for a training. What is changed for that, and what is not
executed, is listed here with its reason; nothing else is left out.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np

from experiments import readme
from poseseg_jax import config as config_lib
from poseseg_jax import train
from poseseg_jax.data import videos
from poseseg_jax.predictor import Predictor
from tests import commands, pages
from tests.documented import REPOSITORY
from tests.tiny_run import Ground

# Commands that nobody executes here: how they begin, and why not.
NOT_EXECUTED = {
    r"pip install ": "fetches packages; what it names, setup.cfg names, or nobody here",
    r"\. \.venv/bin/activate": "of a shell; the environment is that of the tests",
    r"xprof ": "a server, of another package",
    r".* camera:0$": "there is no camera; tests/test_predict.py gives one",
    r".* --coordinator=": "several machines; tests/test_hosts.py has several processes",
    r"curl ": "fetches weights, which no network here is large enough for",
    r"python -m tests\.(bad_input|faults)$": "write their tables into the page itself; "
    "tests/test_bad_input.py and tests/test_faults.py compare these",
    r"python -m tests\.(soak|memory) ": "minutes at least, or their verdict is none",
    r"python -m tests\.fuzz .*--engine=atheris": "of another package",
}
# Programs that are not executed: what they say, and why not.
NOT_RUN = {
    "import torch\n": "not installed for the tests, and what it converts is not there",
    "sys.argv": "takes arguments; tests/test_export.py runs it in a process of its own",
}
# What makes a command small, behind its own flags: the last one counts.
SMALLER = {
    "poseseg_jax.data.inspect": ["--pictures=2"],
    "experiments.oracle": ["--size=129"],
    "experiments.readme": ["--output=page.md"],
    # Nothing is run, and everything else is done. tests/test_experiments.py runs a
    # whole grid, with the flags of README.md.
    **{f"experiments.{name}": ["--report_only"] for name in readme.NAMES},
    # Its report would measure many ceilings.
    "experiments.representation": ["--dry_run", "--only=center"],
    # Four steps teach little; somebody has to be found all the same.
    "poseseg_jax.predict": ["--min_score=0"],
    "tests.fuzz": ["--minutes=0.01"],
}
# Fields that nobody can afford here, and those that need them: a ResNet takes minutes.
# That they go together is seen by `_look_at`; tests/test_pretrained.py reads weights.
LARGE = (
    "--config.model.backbone=resnet",
    "--config.model.pretrained=",
    "--config.model.norm=frozen",
    "--config.optim.freeze_stages=",
)
_SMALL = (
    # Of twelve pictures, five are left where 80 % of the single persons are gone.
    "--config.train.batch_size=4",
    "--config.checkpoint.every_steps=4",
    "--config.eval.overlays=1",
    "--config.eval.worst=1",
)
# Runs that pages speak of as there.
TRAINED = (
    *("tiny", "bias70", "full"),
    *(f"{name}_{seed}" for name in ("full", "bias70") for seed in range(3)),
)
_from_workdir = Predictor.from_workdir
# Commands of a shell that read only, or write into the folder.
_HARMLESS = ("find", "ls", "cat")
_DOWNLOAD = "--config.data.download=True"  # 20 GB; see tests/test_fetch.py
# They start processes that know nothing of pytest, or rely on being alone.
_ALONE = r"tests\.|benchmarks(\.loader|\.predict)?$"


class Reader:
    """Follows pages, one after the other, in a folder.

    Args:
      folder: an empty one.
      ground: of tiny runs.
    """

    def __init__(self, folder: Path, ground: Ground):
        self._ground = ground
        self._done: dict[str, str] = {}
        furnish(folder, ground)

    def follow(self, typed: pages.Typed) -> None:
        """Does what stands there. Working directory is the folder.

        Raises:
          AssertionError: if it does not work, or if nobody has said how to try it.
        """
        if typed.is_python:
            self._follow_program(typed)
            return
        for pipeline in pages.pipelines(typed.text):
            said = ""
            for words in pipeline:
                if not why_not(words):
                    said = self._command(words, said)

    def _follow_program(self, typed: pages.Typed) -> None:
        if any(said in typed.text for said in NOT_RUN):
            return
        with (
            mock.patch.dict(sys.modules, {"supervision": _supervision()}),
            mock.patch.object(Predictor, "from_workdir", _who_finds_somebody),
        ):
            exec(compile(typed.text, str(typed), "exec"), {"__name__": "program"})

    def _command(self, words: list[str], stdin: str) -> str:
        program, *arguments = words
        if program == "make":
            self._make(arguments)
        elif re.fullmatch(r"\S*python[\d.]*", program) and arguments[0] == "-m":
            self._module(arguments[1], arguments[2:], stdin)
        else:
            assert program in _HARMLESS, f"tests/reader.py does not know {program}"
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            return done.stdout
        return ""

    def _make(self, arguments: list[str]) -> None:
        """Commands of ours that a target consists of."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        done = subprocess.run(
            ["make", "--dry-run", *arguments],
            cwd=REPOSITORY,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for line in done.stdout.replace("\\\n", " ").splitlines():
            found = re.match(r"\S*python -m .*", line)
            of_ours = rf"\S*python -m ({'|'.join(commands.OURS)})\b"
            for words in pages.pipelines(line)[0] if found else []:
                if re.match(of_ours, line) and not why_not(words):
                    self._command(words, "")

    def _module(self, module: str, words: list[str], stdin: str) -> None:
        if module == "poseseg_jax.main":
            _look_at(words)
        words = smaller(module, words, self._ground)
        kind, workdir = _kind([module, *words, stdin]), _value(words, "workdir")
        is_training = module == "poseseg_jax.main"
        if self._done.get(kind) == workdir:
            return
        if is_training:  # what is there may be another run
            shutil.rmtree(workdir, ignore_errors=True)
        if is_training and kind in self._done:
            shutil.copytree(self._done[kind], workdir)
            return
        package = module.partition(".")[0]
        assert package in commands.OURS, f"tests/reader.py does not know {module}"
        if re.match(_ALONE, module):
            status, said = self._alone(module, words, stdin)
        else:
            status, said = commands.run(module, *words, stdin=stdin)
        assert status == 0, f"{module} {' '.join(words)}\nends with {status}: {said}"
        if "--dry_run" not in words:
            for left in ("workdir", "output"):
                assert Path(_value(words, left) or ".").exists(), f"leaves no --{left}"
        self._done[kind] = workdir

    def _alone(self, module: str, words: list[str], stdin: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            env=self._ground.environment(PYTHONPATH=str(REPOSITORY)),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr


class _Taken(Exception):
    """The config makes sense."""


def _look_at(words: Sequence[str]) -> None:
    """Sees that a training would begin as it is on the page, in full size."""

    def look(config: dict[str, Any], workdir: Path) -> None:
        config_lib.parse(config)
        raise _Taken(workdir)

    with mock.patch.object(train, "run", look):
        try:
            _, said = commands.run("poseseg_jax.main", *words)
        except _Taken:
            return
    raise AssertionError(said)


def _kind(words: Sequence[str]) -> str:
    """What a command does, as far as it takes its time.

    Trainings of bias30 and bias80, and those that go to another folder or begin with
    another one, are the same. `_look_at` has read their configs.
    """
    line = shlex.join(words)
    if words[0] == "poseseg_jax.main":
        line = re.sub(r"(--config=configs/[a-z]+)\d+", r"\1", line)
        line = re.sub(r"(workdir=)\S+", r"\1W", line)
    return line


def why_not(words: Sequence[str]) -> str:
    """Why a command is not executed; "" if it is."""
    line = re.sub(r"^\S*/python", "python", " ".join(words))
    return next((w for how, w in NOT_EXECUTED.items() if re.match(how, line)), "")


def smaller(module: str, words: Sequence[str], ground: Ground) -> list[str]:
    """The same command with less to do."""
    words = [
        f"{word}:tiny" if re.fullmatch(r"--config=[^:]+", word) else word
        for word in words
        if word != _DOWNLOAD
    ] + ["--config.data.root=coco"] * (_DOWNLOAD in words)
    if any(word.startswith("--config=") for word in words):
        words = [word for word in words if not word.startswith(LARGE)]
        words += [flag for flag in ground.flags() if "prepared_dir" not in flag]
        words += _SMALL
    if module.removeprefix("experiments.") in readme.NAMES:
        words += [] if "--preset=tiny" in words else ["--preset=tiny"]
        words += [] if "--dry_run" in words else SMALLER[module]
        return words
    if module.startswith("benchmarks"):
        words.append("--smallest")
    return words + SMALLER.get(module, [])


def _value(words: Sequence[str], flag: str) -> str:
    found = [w.partition("=")[2] for w in words if w.startswith(f"--{flag}=")]
    return found[-1] if found else ""


def furnish(folder: Path, ground: Ground) -> None:
    """Puts into a folder what the pages speak of."""
    for name in ("configs", "poseseg_jax", "experiments", "benchmarks", "docs"):
        (folder / name).symlink_to(REPOSITORY / name)
    for name in ("coco", "mine"):  # a page's reader has COCO, and data of their own
        (folder / name).symlink_to(ground.drawn)
    truth = ground.drawn / "annotations" / "person_keypoints_val2017.json"
    for name in ("J", "val.json"):
        (folder / name).symlink_to(truth)
    for name in ("val", "test2017"):
        (folder / name).symlink_to(ground.drawn / "val2017")
    listed = {"images": json.loads(truth.read_text())["images"], "categories": []}
    (folder / "image_info_test-dev2017.json").write_text(json.dumps(listed))
    for name in TRAINED:
        ground.copy(folder / "runs" / name)
    (folder / "R1").symlink_to(ground.finished / "results_keypoints.json")
    (folder / "R2").symlink_to(ground.finished / "results_segm.json")
    _photograph(folder, next((ground.drawn / "val2017").iterdir()))


def _photograph(folder: Path, picture: Path) -> None:
    """All of one shape: what is compiled for one does for all."""
    names = ("photo.jpg", "other.jpg", "photos/1.jpg", "photos/2.jpg", "more/on/3.jpg")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder / name)
    image = cv2.imread(str(picture))
    assert image is not None
    height, width = (side // 2 * 2 for side in image.shape[:2])
    with videos.Recorder(folder / "walk.mp4", 10.0) as recorder:
        for _ in range(2):
            recorder.add(np.ascontiguousarray(image[:height, :width, ::-1]))


def _who_finds_somebody(workdir: str, **given: Any) -> Predictor:
    return _from_workdir(workdir, **{**given, "min_score": 0.0})


def _supervision() -> types.ModuleType:
    """Stands for the library; tests/test_interop.py looks at what it is given."""
    module = types.ModuleType("supervision")
    for name in ("Detections", "KeyPoints", "MaskAnnotator"):
        setattr(module, name, mock.MagicMock())
    return module
