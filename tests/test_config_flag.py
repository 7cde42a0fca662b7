"""A command with a config takes any field of it, and says in words what is wrong."""

import json
import subprocess
import sys

import pytest

from tests import documented
from tests.documented import REPOSITORY

CONFIG = "--config=configs/full.py:tiny"
TO_TRAIN = ["--workdir={tmp}/run"]
TO_LOOK = ["--output={tmp}/run"]
# Whatever else is given, and what is said.
WRONG = {
    "no config": ([], "--config has to be given"),
    "no such file": (["--config=configs/none.py"], "no such config: 'configs/none.py'"),
    "no such file, and a field": (
        ["--config=configs/none.py", "--config.train.seed=1"],
        "There is no such config: 'configs/none.py'",
    ),
    "no suffix": (["--config=configs/full:tiny"], "did you mean 'configs/full.py'?"),
    "a share without a file": (
        ["--config=configs/bias35.py"],
        "did you mean 'configs/bias",
    ),
    "a folder": (["--config=configs"], "The config configs cannot be read"),
    "no value": (["--config"], "Missing value for flag --config"),
    "an empty value": (["--config="], "There is no such config: ''"),
    "no such preset": (
        ["--config=configs/full.py:tny"],
        "configs/full.py:tny: There is no preset 'tny'; the only one is 'tiny'.",
    ),
    "a typo in a field": (
        [CONFIG, "--config.train.sede=1"],
        "The config has no such field: 'train.sede'; did you mean 'seed'?",
    ),
    "a typo in a group": (
        [CONFIG, "--config.trian.seed", "1"],
        "The config has no such field: 'trian.seed'; did you mean 'train.seed'?",
    ),
    "a field of another group": (
        [CONFIG, "--config.train.weight_decay=1"],
        "The config has no such field: 'train.weight_decay'; did you mean "
        "'optim.weight_decay'?",
    ),
    "a typo in no group": ([CONFIG, "--config.profil"], "did you mean 'profile'?"),
    "a field like no other": (
        [CONFIG, "--config.eval.zzzzzz=1"],
        "'eval.zzzzzz'; known: ['batch_size', ",
    ),
    "a group like no other": (
        [CONFIG, "--config.zzzzzz=1"],
        "'zzzzzz'; known: ['augment', ",
    ),
    "no whole number": (
        [CONFIG, "--config.train.seed=1.5"],
        "--config.train.seed=1.5: expected a whole number, such as 0.",
    ),
    "no number": ([CONFIG, "--config.eval.zoom=big"], "expected a number, such as"),
    "no truth": ([CONFIG, "--config.profile=yes"], "expected True or False"),
    "no value of a field": ([CONFIG, "--config.train.seed"], "Missing value for flag"),
    "a field too early": (
        ["--config.train.seed=1", CONFIG],
        "--config=FILE has to be given before --config.train.seed.",
    ),
    "a field of nothing": (
        ["--config.train.seed=1"],
        "--config=FILE has to be given before --config.train.seed.",
    ),
    "no such flag": ([CONFIG, "--wrkdir=x"], "Unknown command line flag 'wrkdir'"),
    "no flag": ([CONFIG, "train.seed=1"], "What is 'train.seed=1'? A flag begins"),
}


def assert_refused(done, said, folder):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "run").exists()


@pytest.mark.parametrize("case", WRONG)
def test_what_is_mistyped_is_refused_in_one_line(tmp_path, case):
    given, said = WRONG[case]
    given = [flag.format(tmp=tmp_path) for flag in (*TO_TRAIN, *given)]
    assert_refused(documented.run("poseseg_jax.main", *given), said, tmp_path)


@pytest.mark.parametrize("module", ["poseseg_jax.data.inspect", "experiments.losses"])
def test_every_command_with_a_config_says_the_same(tmp_path, module):
    given, said = WRONG["a typo in a field"]
    given = [flag.format(tmp=tmp_path) for flag in (*given, *TO_LOOK)]
    assert_refused(documented.run(module, *given), said, tmp_path)


# A command, as short as can be; with a default where its first argument says so.
COMMAND = """
import json, sys
from poseseg_jax import command, config_flag

def main(_):
    print(json.dumps([config_flag.given(), config_flag.overrides()]))

config_flag.define(*sys.argv.pop(1).split())
command.run(main, flags_parser=config_flag.parse_flags)
"""


def command(default, *given):
    return subprocess.run(
        [sys.executable, "-c", COMMAND, default, *given],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("default", ["", "configs/bias70.py:tiny"])
def test_fields_are_set_and_known_to_have_been(default):
    path = [] if default else ["--config=configs/bias70.py:tiny"]
    given = ["--config.train.seed=3", "--config.profile", "--config.eval.scales=(1,2)"]
    done = command(default, *path, *given)
    config, overrides = json.loads(done.stdout)
    assert overrides == {"train.seed": 3, "profile": True, "eval.scales": [1, 2]}
    assert (config["train"]["seed"], config["profile"]) == (3, True)
    assert (config["data"]["reduction"], config["train"]["image_size"]) == (70, 97)


def test_a_default_is_taken_where_nothing_is_given():
    config, overrides = json.loads(command("configs/bias70.py").stdout)
    assert (config["data"]["reduction"], overrides) == (70, {})
    other, _ = json.loads(command("configs/bias70.py", CONFIG).stdout)
    assert (other["data"]["reduction"], other["train"]["image_size"]) == (0, 97)
    done = command("configs/bias70.py", "--config.train.sede=1")
    assert "did you mean 'seed'?" in done.stderr
    assert (
        "Default: configs/bias70.py." in command("configs/bias70.py", "--help").stdout
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def get_config(): return {'train': {'seed': 7}}", '{"train": {"seed": 7}}'),
        ("def get_config(): return 7", "get_config() gives 7, and no config."),
        ("def get_config(): return open('nothing.txt')", "cannot be read: [Errno 2]"),
        ("def get_config(): return {}.seed", "line 1, in get_config"),
    ],
    ids=["plain dicts", "nothing", "a file that is not there", "a mistake of its own"],
)
def test_a_config_of_ones_own_is_a_file_like_ours(tmp_path, source, said):
    path = tmp_path / "own.py"
    path.write_text(source)
    done = command("", f"--config={path}")
    assert said in done.stdout + done.stderr
