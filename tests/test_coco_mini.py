"""The page of the experiment tells what is there."""

import json
import re

import pytest

from configs import coco_mini
from experiments.coco_mini import parts, paste, splits, table
from tests import documented, pages

PAGE = documented.REPOSITORY / "experiments" / "coco_mini" / "README.md"
# Of S to train on.
PHOTOGRAPHS = 2450
MODULES = {"splits": splits, "paste": paste, "parts": parts, "table": table}


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
    assert f"python -m experiments.coco_mini.{name} " in (MODULES[name].__doc__ or "")


def test_every_stage_is_on_the_page_and_in_the_script_s_first_lines():
    script = (PAGE.parent / "go.sh").read_text()
    first = re.match(r"(#.*\n)*", script)
    assert first
    for stage in re.findall(r"^  (\w+)\)", script, re.M):
        assert f"go.sh {stage} " in first[0], stage
        assert re.search(rf"go\.sh {stage}\b", PAGE.read_text()), stage


def test_nothing_is_said_to_have_run_that_has_not():
    """As long as the table has no scores of ours, the page says so at its top."""
    text = " ".join(PAGE.read_text().split())
    has_scores = "**not run**" not in text
    assert has_scores or "Nothing has been trained on a GPU yet" in text


def test_most_of_what_is_seen_is_as_it_was_photographed():
    """And nobody whose mask is known is left out for want of a keypoint."""
    config = coco_mini.get_config()
    assert config.data.head_count == "annotated"
    pictures = PHOTOGRAPHS + paste.NUMBER
    assert PHOTOGRAPHS > paste.NUMBER
    times = config.train.num_steps * config.train.batch_size / pictures
    text = (documented.REPOSITORY / "configs" / "coco_mini.py").read_text()
    assert f"are {pictures:,}, and {config.train.num_steps:,} steps" in text
    assert f"see each {times:.0f}" in text


def test_what_the_page_exchanges_in_a_config_is_in_it_once():
    """float32 in the place of bfloat16, for a CPU, and a folder that is there."""
    text = json.dumps(coco_mini.get_config().to_dict(), indent=2)
    command = next(line for line in PAGE.read_text().splitlines() if "sed -i" in line)
    exchanged = re.findall(r"s(/|#)(.*?)\1.*?\1", command)
    assert len(exchanged) == 2
    for _, pattern in exchanged:
        assert len(re.findall(pattern, text)) == 1


def test_training_shows_people_as_large_as_the_test_does():
    config = coco_mini.get_config()
    low, high = config.augment.scale_min, config.augment.scale_max
    middle = (low * high) ** 0.5
    assert 0.9 < middle / config.eval.zoom < 1.1
