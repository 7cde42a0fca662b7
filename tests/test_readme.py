"""What the README and the pages of docs/ say is so."""

import pytest

from tests import documented, figures

GOOD = """
See [the licence](LICENSE), `configs/bias{30,80}.py:tiny`, `configs/*.py`, `hough.py`,
`decode/hough.py`, `Makefile`, `poseseg_jax.inference.restore(workdir)`, `make lint`,
`--config.train.seed=1`, `python -m poseseg_jax.main`, `:tiny`, and what is not ours:
`annotations/person.json`, `metrics.json`, `data/mine/`, `x.y`, `--some-flag`.

```bash
# make nothing
$ make train WORKDIR=runs/mine ARGS="--config.train.num_steps=10"   # make nothing
XLA_FLAGS=--some .venv/bin/python -m poseseg_jax.main --config=configs/full.py \\
    --workdir=W --config.data.root=DIR && make -j2 test
python -m pip install --quiet anything; git clone https://example.org/x
```

```python
from poseseg_jax import inference
from poseseg_jax.inference import restore
import numpy
```
"""
BAD = {
    "see [this](pictures/none.md)": "pictures/none.md",
    "see `configs/bias{30,35}.py`": "configs/bias35.py",
    "see `tests/test_nothing.py`": "tests/test_nothing.py",
    "see `decode/nothing.py`": "decode/nothing.py",
    "see `nothing.py`": "nothing.py",
    "see `experiments/none/`": "experiments/none",
    "see `poseseg_jax.inference.nothing`": "poseseg_jax.inference.nothing",
    "see `make nothing`": "target nothing",
    "see `--config.train.steps=9`": "field train.steps",
}
BAD_COMMANDS = {
    "make nothing": "target nothing",
    "make train STEPS=3": "variable STEPS",
    "make train ARGS='--config.train.epochs=3'": "field train.epochs",
    "python -m poseseg_jax.nothing": "module poseseg_jax.nothing",
    "python -m nothing.at_all": "module nothing.at_all",
    "python configs/none.py": "configs/none.py",
    "python -m poseseg_jax.main --steps=3": "flag --steps",
    "python -m poseseg_jax.main --config=configs/none.py": "configs/none.py",
    "python -m poseseg_jax.main --config=configs/full.py:big": "preset big",
    "cd x && python -m poseseg_jax.main \\\n --config.trian.seed=3": "trian",
    "python -m poseseg_jax.main --config.train.seed=ten": "not ten",
}
BAD |= {f"```bash\n{text}\n```": problem for text, problem in BAD_COMMANDS.items()}
BAD["```python\nfrom poseseg_jax.inference import nothing\n```"] = "inference.nothing"


PAGES = [
    "README.md",
    *sorted(f"docs/{path.name}" for path in documented.DOCS.glob("*.md")),
    "experiments/README.md",
    "benchmarks/RESULTS.md",
    "poseseg_jax/box/README.md",
    "poseseg_jax/data/coco_persons/README.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_all_that_a_page_names_is_there(page):
    path = documented.REPOSITORY / page
    assert not documented.problems(path.read_text(), folder=path.parent)


def test_what_is_there_is_no_problem():
    assert not documented.problems(GOOD)


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_there_is_named(text):
    (problem,) = documented.problems(text)
    assert BAD[text] in problem


def test_the_results_are_those_of_the_runs():
    text = figures.README.read_text()
    assert text == figures.written(text), "python -m tests.figures"


def test_other_results_are_noticed():
    text = figures.README.read_text()
    other = text.replace(figures.results(), "AP x 100: 99.9")
    assert other != text
    assert figures.written(other) == figures.written(text)
