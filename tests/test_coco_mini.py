"""The page of the experiment tells what is there."""

import re

import pytest

from experiments.coco_mini import parts, paste, splits
from tests import documented, pages

PAGE = documented.REPOSITORY / "experiments" / "coco_mini" / "README.md"
MODULES = ("splits", "paste", "parts")


def test_all_that_the_page_names_is_there():
    text = re.sub(r"^timeout \d+ ", "", PAGE.read_text(), flags=re.M)
    assert not documented.problems(text, folder=PAGE.parent)


def test_no_bash_hides_in_a_block_of_another_language():
    for _, language, block in pages.blocks(PAGE.read_text()):
        assert language == "bash" or "python -m" not in block


@pytest.mark.parametrize("name", MODULES)
def test_every_command_is_on_the_page_and_says_what_it_leaves(name):
    text = PAGE.read_text()
    assert f"python -m experiments.coco_mini.{name} " in text
    module = {"splits": splits, "paste": paste, "parts": parts}[name]
    assert f"python -m experiments.coco_mini.{name} " in (module.__doc__ or "")


def test_nothing_is_said_to_have_run_that_has_not():
    """As long as the table has no scores of ours, the page says so at its top."""
    text = PAGE.read_text()
    has_scores = "**not run**" not in text
    assert has_scores or "Nothing has been trained on a GPU yet" in text
