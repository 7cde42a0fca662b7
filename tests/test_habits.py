"""What contributors are told is so."""

import configparser
import re

import pytest

from poseseg_jax import __version__
from tests import documented
from tests.documented import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
SCREEN = 55  # lines


def recipe(target):
    """The lines of a target of the Makefile."""
    (found,) = re.findall(rf"^{target}:[^\n]*\n((?:\t[^\n]*\n)*)", MAKEFILE, re.M)
    return found


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_all_that_a_page_names_is_there(page):
    assert not documented.problems((REPOSITORY / page).read_text())


def test_contributing_is_one_screen():
    lines = (REPOSITORY / "CONTRIBUTING.md").read_text().splitlines()
    assert len(lines) <= SCREEN


def test_make_help_tells_of_every_target():
    (targets,) = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.M)
    for target in set(targets.split()) - {"help"}:
        assert f'"make {target} ' in recipe("help")


def test_there_is_one_version_and_the_changelog_tells_of_it():
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    assert __version__ == setup["metadata"]["version"]
    told = (REPOSITORY / "CHANGELOG.md").read_text()
    assert f"## [{__version__}]" in told


def test_hooks_are_the_quick_part_of_lint():
    hooks = (REPOSITORY / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"entry: \.venv/bin/([\w-]+(?: [a-z]+)?)", hooks)
    assert entries == ["ruff format", "ruff check", "lint-imports"]
    for entry in entries:
        assert f"$(BIN)/{entry}" in recipe("lint")


def test_tools_have_the_versions_that_were_tested():
    """So that a hook, `make lint` and CI say the same."""
    tools = {"ruff", "pyright", "import-linter", "pytest", "pre_commit"}
    constraints = (REPOSITORY / "constraints.txt").read_text()
    assert tools <= set(re.findall(r"^([\w.-]+)==", constraints, re.M))
