"""What README, docs and the page of experiments tell to type is typed, and works."""

import re

import pytest

from tests import pages, reader, tiny_run
from tests.documented import DOCS, PACKAGES, REPOSITORY
from tests.reader import Reader

ALL = [typed for page in pages.PAGES for typed in pages.typed(page)]
# Modules that do something when they are run.
COMMANDS = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for folder in PACKAGES
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    if re.search('^if __name__ == "__main__"', path.read_text(), re.M)
]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground, tiny_run.remembering():
        yield ground


@pytest.fixture(scope="module")
def somebody(ground, tmp_path_factory):
    """Who reads all pages, one after the other."""
    folder = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ground.environment(JAX_NUM_CPU_DEVICES="1").items():
            patch.setenv(name, value)
        patch.setenv("TFDS_DATA_DIR", str(folder / "prepared"))
        patch.chdir(folder)
        yield Reader(folder, ground)


@pytest.mark.parametrize("page", pages.PAGES)
def test_what_a_page_tells_to_type_works(page, somebody, capsys):
    wrong = []
    for typed in pages.typed(page):
        try:
            somebody.follow(typed)
        except Exception as error:
            wrong.append(f"{typed}\n  {type(error).__name__}: {error}")
    capsys.readouterr()
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_out_in_silence():
    """A block that says nothing of its language holds what a command says, or files."""
    for page in pages.PAGES:
        for line, language, block in pages.blocks((REPOSITORY / page).read_text()):
            if language not in (*pages.SHELLS, "python"):
                hidden = re.search(r"^ *(\$ )?(python|make|pip|git) ", block, re.M)
                assert not hidden, f"{page}:{line}: say that it is bash"


def test_every_reason_to_leave_something_out_is_needed():
    lines = [
        words
        for typed in ALL
        if not typed.is_python
        for pipeline in pages.pipelines(typed.text)
        for words in pipeline
    ]
    needed = {reader.why_not(words) for words in lines} - {""}
    assert needed == set(reader.NOT_EXECUTED.values())


def test_what_nobody_knows_to_try_is_not_passed_over(somebody):
    for text in ("rm -r runs", "python -m nothing.at_all", "make nothing", "cat < J"):
        with pytest.raises((AssertionError, ValueError)):
            somebody.follow(pages.Typed("README.md", 1, text, is_python=False))


def test_a_command_that_fails_is_told_of(somebody):
    text = "python -m poseseg_jax.evaluate --workdir=runs/none"
    with pytest.raises(AssertionError, match="runs/none does not exist"):
        somebody.follow(pages.Typed("README.md", 1, text, is_python=False))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b=c 'd e'  # not this", [[["a", "b=c", "d e"]]]),
        ("a \\\n  --b", [[["a", "--b"]]]),
        ("a && b; c", [[["a"]], [["b"]], [["c"]]]),
        ("find . | a -", [[["find", "."], ["a", "-"]]]),
    ],
)
def test_lines_are_read_as_a_shell_reads_them(line, expected):
    assert pages.pipelines(line) == expected


def test_every_command_has_its_place_on_the_page_of_commands():
    page = (DOCS / "commands.md").read_text()
    names = [name.removesuffix(".__main__") for name in COMMANDS]
    assert not [name for name in names if f"`{name}`" not in page]
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.M)
    assert {"train", "test", "bench"} <= set(targets)
    assert not [
        name
        for name in {"train", "demo", "test", "bench"} & set(targets)
        if f"`make {name}`" not in page
    ]
