"""What is given away says what the trained network says."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from poseseg_jax import ancestor, export, inference, program, released
from poseseg_jax.changes import with_changes
from poseseg_jax.config import InitSettings
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.inference import Trained
from poseseg_jax.people import box_of
from poseseg_jax.predictor import Predictor
from tests import commands, tiny_run
from tests.documented import DOCS
from tests.tiny_run import NUM_STEPS, assert_same_state

# Runs a page's script where this package cannot be imported, and keeps what it found.
WITHOUT_US = """
import runpy, sys
sys.modules["poseseg_jax"] = None
script, kept, *sys.argv[1:] = sys.argv[1:]
done = runpy.run_path(script)
ours = [name for name in sys.modules if name.startswith("poseseg_jax.")]
assert not ours, ours
done["np"].savez(kept, **done["found"])
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground, tiny_run.remembering():
        yield ground


@pytest.fixture(scope="module")
def folder(ground, tmp_path_factory):
    """Both exports of the finished run."""
    folder = tmp_path_factory.mktemp("export")
    export.export_safetensors(ground.finished, folder)
    export.export_program(ground.finished, folder)
    return folder


@pytest.fixture(scope="module")
def pictures():
    """Of two sizes: one is reduced, and one is enlarged."""
    large, small = (draw_scene(np.random.default_rng(n), 2).image for n in (1, 2))
    return [large, small[:50, :40]]


def script():
    """The one of docs/export.md."""
    (block,) = (DOCS / "export.md").read_text().split("```python\n")[1:]
    return block.split("```")[0]


def test_the_page_s_script_finds_what_a_predictor_finds_without_us(
    ground, folder, pictures, tmp_path
):
    text = script()
    assert len(text.splitlines()) <= 25
    imports = {line.split()[1] for line in text.splitlines() if "import " in line}
    assert imports == {"sys", "jax", "numpy"}
    (tmp_path / "script.py").write_text(text)
    names = []
    for number, picture in enumerate(pictures):
        names.append(f"{number}.npy")
        np.save(tmp_path / names[-1], picture)
    arguments = ["script.py", "found.npz", str(folder / "program.jax"), *names]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, *arguments],
        cwd=tmp_path,
        env=ground.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    predictor = Predictor.from_workdir(ground.finished, min_score=0, square=True)
    for row, picture in enumerate(pictures):
        people = predictor(picture)
        assert people
        assert np.count_nonzero(found["score"][row]) == len(people)
        assert not found["masks"][row, :, picture.shape[0] :].any()
        assert not found["masks"][row, :, :, picture.shape[1] :].any()
        for slot, person in enumerate(people):
            for name in ("keypoints", "confidence", "score"):
                theirs = found[name][row, slot]
                np.testing.assert_allclose(theirs, getattr(person, name), atol=1e-3)
            mask = found["masks"][row, slot, : picture.shape[0], : picture.shape[1]]
            # OpenCV places a sample to 1/32 of a cell; of a mask, few pixels are so
            # near to its edge.
            assert np.count_nonzero(mask != person.mask) <= 0.01 * mask.size
            box = box_of(mask, person.keypoints, person.confidence)
            np.testing.assert_allclose(found["box"][row, slot], box)


def test_what_is_said_of_a_program_is_so(ground, folder):
    about = json.loads((folder / "program.json").read_text())
    blob = (folder / "program.jax").read_bytes()
    exported = jax.export.deserialize(bytearray(blob))
    assert about["bytes"] == len(blob)
    assert about["platforms"] == list(exported.platforms) == ["cpu", "cuda"]
    assert not exported.disabled_safety_checks
    assert about["inputs"]["images"]["shape"] == ["b", "h", "w", 3]
    assert about["inputs"]["sizes"] == {
        "shape": ["b", 2],
        "dtype": "int32",
        "meaning": program.MEANINGS["sizes"],
    }
    slots = ground.config()["decode"]["max_people"]
    shapes = {name: one["shape"] for name, one in about["outputs"].items()}
    assert shapes["keypoints"] == ["b", slots, 17, 2]
    assert shapes["masks"] == ["b", slots, "h", "w"]
    assert about["origin"]["step"] == NUM_STEPS
    assert about["jax"] == jax.__version__


def test_several_views_can_be_exported(ground):
    trained = inference.restore(ground.finished)
    changes = {"eval.flip": True, "eval.scales": (1.0, 1.5)}
    settings = with_changes(trained.settings, changes)
    trained = Trained(settings, trained.variables, trained.step)
    exported = export.lower(trained, platforms=["cpu"])
    assert exported.platforms == ("cpu",)
    with pytest.raises(ValueError, match="abacus"):
        export.lower(trained, platforms=["abacus"])


def test_a_released_network_is_that_of_the_run(ground, folder):
    run, given = (inference.restore(path) for path in (ground.finished, folder))
    assert_same_state(given.variables, run.variables)
    assert (given.settings, given.step) == (run.settings, NUM_STEPS)
    assert inference.latest_step(folder) == NUM_STEPS
    text = (ground.finished / "config.json").read_text()
    assert (folder / "config.json").read_text() == text
    scores = json.loads((ground.finished / "metrics.json").read_text())
    origin = released.read_origin(folder)
    assert origin.scores["segm/AP"] == scores["segm/AP"]
    assert not [key for key in origin.scores if key.startswith(("crowd", "train"))]


def test_what_is_no_program_has_no_platforms(tmp_path):
    words = [f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}"]
    status, said = commands.run("poseseg_jax.export", *words, "--platforms=cpu")
    assert (status, "--format=program" in said) == (1, True)


def test_only_scores_that_the_run_gave_itself_are_quoted(ground, tmp_path):
    """An evaluation of anything else may lie in the workdir since."""
    workdir = ground.copy(tmp_path / "run")
    own = json.loads((workdir / "metrics.json").read_text())
    other = {"keypoints/AP": 0.123, "eval/step": NUM_STEPS}
    (workdir / "metrics.json").write_text(json.dumps(other))
    export.export_safetensors(workdir, tmp_path / "last")
    scores = released.read_origin(tmp_path / "last").scores
    assert scores["keypoints/AP"] == own["keypoints/AP"]
    assert set(scores) == {key for key in own if key.startswith(("keypoints", "segm"))}


def test_a_step_before_the_last_has_scores_if_the_run_gave_it_some(ground, tmp_path):
    workdir = ground.copy(tmp_path / "run")
    path = workdir / "checkpoints" / "2" / "metrics" / "metrics"
    path.parent.mkdir(exist_ok=True)
    for number, scores in enumerate(({}, {"segm/AP": 0.25})):
        path.write_text(json.dumps(scores))
        folder = tmp_path / str(number)
        export.export_safetensors(workdir, folder, step=2)
        assert released.read_origin(folder).scores == scores


def test_a_network_can_be_given_on_and_keeps_its_bytes(folder, tmp_path):
    again = export.export_safetensors(folder, tmp_path)
    assert again.read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def half(ground, tmp_path_factory):
    """The finished run in bfloat16."""
    folder = tmp_path_factory.mktemp("half")
    export.export_safetensors(ground.finished, folder, dtype="bfloat16")
    return folder


def test_in_bfloat16_a_network_has_half_the_size_and_near_answers(
    ground, folder, half, pictures
):
    sizes = [(path / "model.safetensors").stat().st_size for path in (half, folder)]
    assert 0.5 < sizes[0] / sizes[1] < 0.6  # of one so small, names are a good part
    for name, array in load_file(half / "model.safetensors").items():
        assert array.itemsize == (2 if array.ndim > 1 else 4), name
    exact, rounded = (inference.restore(path) for path in (ground.finished, half))
    assert rounded.settings == exact.settings
    pairs = zip(
        *(jax.tree.leaves(one.variables) for one in (exact, rounded)), strict=True
    )
    for value, near in pairs:
        assert (near.dtype, near.shape) == (np.float32, value.shape)
        # 8 bits, the first of which is not written.
        np.testing.assert_allclose(near, value, rtol=2**-8 if value.ndim > 1 else 0)
    # A confidence moves by a quarter of what its logit does, at most.
    people, near = (
        Predictor.from_workdir(path, min_score=0, square=True)(pictures[0])
        for path in (ground.finished, half)
    )
    assert people
    best = zip(people[:1], near[:1], strict=True)
    for one, other in best:
        np.testing.assert_allclose(one.score, other.score, atol=0.02)
        np.testing.assert_allclose(one.confidence, other.confidence, atol=0.1)


def test_in_bfloat16_a_network_has_no_scores_yet_and_keeps_its_bytes(half, tmp_path):
    assert not released.read_origin(half).scores
    again = export.export_safetensors(half, tmp_path)
    assert again.read_bytes() == (half / "model.safetensors").read_bytes()


def test_a_run_can_begin_with_a_network_in_bfloat16(half):
    ancestor.check(InitSettings(str(half), "all", 0, 0.0))


def test_a_program_has_no_dtype_of_its_kernels(tmp_path):
    words = [f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}"]
    words += ["--format=program", "--dtype=bfloat16"]
    status, said = commands.run("poseseg_jax.export", *words)
    assert (status, "--dtype is of --format=safetensors" in said) == (1, True)


def test_a_network_read_otherwise_has_no_scores_yet(ground, tmp_path):
    changes = {"eval.flip": True, "eval.scales": (0.8, 1.0)}
    export.export_safetensors(ground.finished, tmp_path, step=2, changes=changes)
    trained = inference.restore(tmp_path, step=2)
    assert trained.settings.eval.flip
    assert trained.settings.eval.scales == (0.8, 1.0)
    assert not released.read_origin(tmp_path).scores


def test_other_steps_are_not_there(folder):
    with pytest.raises(ValueError, match=r"--step is 2, but .* of step 4"):
        inference.restore(folder, step=2)
    with pytest.raises(ValueError, match="--step is best"):
        inference.restore(folder, best=True)


def test_a_run_can_begin_with_a_released_network(folder):
    init = InitSettings(str(folder), "all", 0, 0.0)
    ancestor.check(init)
    with pytest.raises(ValueError, match=r"step 2; there are \[4\]"):
        ancestor.check(dataclasses.replace(init, step=2))


def test_a_workdir_stays_one(ground, tmp_path):
    workdir = ground.copy(tmp_path / "run")
    with pytest.raises(ValueError, match="a folder of their own"):
        export.export_safetensors(workdir, workdir)
    (workdir / "model.safetensors").write_bytes(b"of somebody else")
    assert inference.restore(workdir).step == NUM_STEPS


def one_of(arrays):
    return sorted(name for name in arrays if name.endswith("kernel"))[0]


def spoil(arrays, kind):
    """Makes an array of a file what it must not be; its name."""
    name = one_of(arrays)
    if kind == "missing":
        del arrays[name]
    elif kind == "unknown":
        arrays["params/head/kernel"] = np.zeros(3, np.float32)
        name = "params/head/kernel"
    elif kind == "shape":
        arrays[name] = arrays[name][..., :-1].copy()
    elif kind == "type":
        arrays[name] = arrays[name].astype(np.float16)
    else:
        arrays[name] = arrays[name] * np.float32("nan")
    return name


@pytest.mark.parametrize("kind", ["missing", "unknown", "shape", "type", "nan"])
def test_a_file_that_does_not_fit_is_named_with_the_tensor(folder, tmp_path, kind):
    arrays = load_file(folder / "model.safetensors")
    origin = json.dumps(vars(released.read_origin(folder)))
    name = spoil(arrays, kind)
    path = tmp_path / "model.safetensors"
    save_file(arrays, path, {"poseseg_jax": origin})
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ValueError, match=f"{path}: {name} (is|has) "):
        inference.restore(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"\x80 a pickle"])
def test_a_file_of_others_is_refused(folder, tmp_path, content):
    path = tmp_path / "model.safetensors"
    save_file(load_file(folder / "model.safetensors"), path)
    if content is not None:
        path.write_bytes(content)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ValueError, match=str(path)):
        inference.restore(tmp_path)
