"""What is generated of docs/ is what the program would write today."""

import re
from pathlib import Path

import numpy as np
import pytest

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax.fields import flat
from poseseg_jax.inference import BOX
from poseseg_jax.pages import blocks, config_page, map_figures, step_figures
from poseseg_jax.pages.picture import Explained, as_truth, draw_labelled, explain
from poseseg_jax.pages.steps import take
from poseseg_jax.people import people_of
from tests import tiny_run
from tests.documented import DOCS

WIDEST = 830  # px that GitHub shows of a page
LARGEST = 150_000  # bytes of a picture
FIGURES = {"maps": map_figures.figures, "decoder": step_figures.figures}


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


@pytest.fixture(scope="module")
def perfect(ground):
    """The picture as a perfect network would see it."""
    settings = config_lib.parse(base.get_config("tiny").to_dict())
    representation = settings.representation
    labels = draw_labelled()
    truth = as_truth(labels, settings.eval_image_size, representation)
    maps = truth.targets.maps
    steps = take(maps, representation=representation, settings=settings.decode)
    people = people_of(
        steps.instances,
        to_input=truth.picture.to_input,
        size=labels.image.shape[:2],
        person_stride=representation.person_stride,
        name="the picture",
        min_score=0.3,
    )
    return Explained(labels.image, truth, maps, steps, list(people))


def test_the_table_of_fields_is_that_of_the_config():
    written = (DOCS / "config.md").read_text()
    assert written == config_page.text(), "python -m poseseg_jax.pages --output=docs"


def test_every_field_has_a_row():
    source = Path(base.__file__).read_text()
    assert (
        config_page.meanings(source).keys() == flat(base.get_config().to_dict()).keys()
    )


def test_a_field_without_a_comment_is_named():
    source = Path(base.__file__).read_text()
    (comment,) = re.findall(r'"log_every": 100,(  # .*)', source)
    with pytest.raises(ValueError, match=r"train\.log_every has no comment"):
        config_page.meanings(source.replace(f"100,{comment}", "100,"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('"a": 1,  # px', "px"),
        ("# A sentence,\n    # and more.\n    'a': 1,", "A sentence, and more."),
        ("# Of it.\n    'a': 1,  # px", "px. Of it."),
        ("'b': 2,  # other\n    'a': (\n    1,\n    ),  # px", "px"),
    ],
)
def test_comments_are_above_a_field_or_behind_it(source, said):
    page = f"def get_config():\n    return {{\n    {source}\n    }}\n"
    assert config_page.meanings(page)["a"] == said


def test_what_lies_between_two_marks_is_replaced():
    mark = "<!-- n: written by `python -m poseseg_jax.pages` -->"
    page = f"before\n{mark}\nold\\1\n<!-- end of n -->\nafter\n"
    once = blocks.fill(page, "n", r"new \1")
    assert once == page.replace("old\\1\n", "\nnew \\1\n")
    assert blocks.fill(once, "n", r"new \1") == once
    with pytest.raises(ValueError, match="marks"):
        blocks.fill("nothing", "n", "new")


@pytest.mark.parametrize("folder", FIGURES)
def test_figures_are_those_of_the_page_and_fit_it(perfect, folder):
    figures = FIGURES[folder](perfect)
    page = {"maps": "maps.md", "decoder": "decoder.md"}[folder]
    shown = re.findall(rf"\]\({folder}/(\w+)\.jpg\)", (DOCS / page).read_text())
    assert sorted(shown) == sorted(figures)
    for name, figure in figures.items():
        assert figure.shape[1] <= WIDEST
        assert figure.std() > 20
        assert (DOCS / folder / f"{name}.jpg").stat().st_size < LARGEST


def test_the_steps_are_those_of_the_decoder(perfect):
    steps, truth = perfect.steps, perfect.truth.picture
    people = int(truth.box.any(-1).sum())
    assert len(perfect.people) == people
    assert int(steps.kept.sum()) == people
    assert int((np.asarray(steps.instances.poses.score) > 0).sum()) == people
    # Every other candidate is explained by one that is kept.
    assert steps.kept[steps.keeper].all()
    assert f"| people in the picture | {people} |" in step_figures.numbers(perfect)


def test_the_numbers_of_the_decoder_are_those_of_the_model_in_the_box(ground):
    page = (DOCS / "decoder.md").read_text()
    (written,) = re.findall(r"<!-- numbers: .*?-->(.*?)<!--", page, re.DOTALL)
    today = step_figures.numbers(explain(BOX))
    (names, written), (names_today, today) = _rows(written), _rows(today)
    assert names == names_today, "python -m poseseg_jax.pages --output=docs"
    assert written[:3] == today[:3]  # people, cells, places: before any network
    # Another processor rounds otherwise: a candidate at the threshold comes or goes.
    assert written[3:] == pytest.approx(today[3:], rel=0.1, abs=2)


def _rows(table):
    """What a table counts, and the counts: of "29 x 29, ..." the first number."""
    rows = re.findall(r"^\| (.+?) \| (\d+)", table, re.MULTILINE)
    return [name for name, _ in rows], [int(count) for _, count in rows]
