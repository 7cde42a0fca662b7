"""What a text for readers promises, and which of it the repository does not keep.

It reads Markdown: commands of ```bash blocks, imports of ```python blocks, paths and
dotted names in `backticks`, and links.
"""

import ast
import functools
import importlib.util
import itertools
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from configs import base
from poseseg_jax.fields import flat

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PACKAGES = ("poseseg_jax", "configs", "experiments", "benchmarks")
# What begins with one of these is a path of ours, and so is a bare name that ends so.
FOLDERS = (*PACKAGES, "tests", ".ci")
SUFFIXES = (".py", ".cfg", ".toml", ".cff", "Makefile", "constraints.txt")


def problems(text: str, *, folder: Path = REPOSITORY) -> list[str]:
    """Everything in a Markdown text of a folder that is not there, in words."""
    blocks = re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", text, re.M | re.S)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    found: list[str] = []
    for language, block in blocks:
        if language in ("bash", "sh", "shell", "console"):
            found += _of_commands(block)
        if language == "python":
            found += _of_python(block)
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose):
        found += _of_span(span)
    for link in re.findall(r"\]\(([^)#\s]+)", prose):
        if "://" not in link and not (folder / link).exists():
            found.append(f"no {link}, which is linked")
    return found


def help_of(module: str) -> subprocess.CompletedProcess[str]:
    """What `python -m module --help` says and how it ends."""
    return run(module, "--help")


def run(
    module: str, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command of ours to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@functools.cache
def flags_of(module: str) -> frozenset[str]:
    """Names of the flags that a command's help lists."""
    done = help_of(module)
    return frozenset(
        re.findall(r"^ +(?:-\w, *)?--(?:\[no\])?([\w.-]+)", done.stdout, re.M)
    )


def _of_commands(block: str) -> Iterator[str]:
    for words in _commands(block):
        yield from _of_command(words)


def _commands(block: str) -> Iterator[list[str]]:
    """Words of each command: without prompts, comments and set variables."""
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(
            line.strip().removeprefix("$ "), posix=True, punctuation_chars="&|;"
        )
        lexer.whitespace_split = True
        for is_end, group in itertools.groupby(lexer, lambda word: word[0] in "&|;"):
            words = list(
                itertools.dropwhile(lambda word: re.match(r"\w+=", word), group)
            )
            if words and not is_end:
                yield words


def _of_command(words: list[str]) -> Iterator[str]:
    program, arguments = Path(words[0]).name, [word.strip("[]") for word in words[1:]]
    if program == "make":
        yield from _of_make(arguments)
    elif re.fullmatch(r"python[\d.]*", program) and arguments:
        if arguments[0] == "-m":
            yield from _of_module(arguments[1], arguments[2:])
        elif arguments[0].endswith(".py"):
            yield from _of_span(arguments[0])


def _of_module(module: str, arguments: list[str]) -> Iterator[str]:
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        yield f"no module {module}"
    elif module.split(".")[0] in PACKAGES:
        yield from _of_flags(module, arguments)


def _of_flags(module: str, arguments: list[str]) -> Iterator[str]:
    for argument in arguments:
        if not argument.startswith("--"):
            continue
        name, _, value = argument.removeprefix("--").partition("=")
        if name.startswith("config.") and "config" in flags_of(module):
            yield from _of_field(name.removeprefix("config."), value)
        elif name not in flags_of(module):
            yield f"no flag --{name} of {module}"
        elif name == "config":
            path, _, preset = value.partition(":")
            yield from _of_span(path)
            if preset not in base.PRESETS:
                yield f"no preset {preset}"


def _of_field(name: str, value: str) -> Iterator[str]:
    known = flat(base.get_config().to_dict())
    if name not in known:
        yield f"no field {name} in configs/base.py"
    elif type(known[name]) in (int, float) and re.fullmatch("[a-z]+", value):
        yield f"{name} is a number, not {value}"


def _of_make(arguments: list[str]) -> Iterator[str]:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = re.findall(r"^([\w-]+)\s*:(?!=)", makefile, re.M)
    variables = re.findall(r"^(\w+)\s*[?:]?=", makefile, re.M)
    for argument in arguments:
        name, has_value, value = argument.partition("=")
        if has_value and name not in variables:
            yield f"no variable {name} in the Makefile"
        elif name == "ARGS":
            yield from _of_flags("poseseg_jax.main", shlex.split(value))
        elif not has_value and not name.startswith("-") and name not in targets:
            yield f"no target {name} in the Makefile"


def _of_python(block: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in PACKAGES:
                yield from _of_name(name)


def _of_name(name: str) -> Iterator[str]:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        yield f"no {name}"


def _of_span(span: str) -> Iterator[str]:
    """Of a path, a dotted name, a command or an override; others are not ours."""
    if span.startswith(("make ", "python -m ")):
        yield from _of_commands(span)
        return
    if span.startswith("--config."):
        yield from _of_flags("poseseg_jax.main", [span])
        return
    if re.fullmatch(rf"({'|'.join(PACKAGES)})(\.\w+)+(\(.*\))?", span):
        is_file = span.endswith(SUFFIXES)
        yield from [] if is_file else _of_name(span.partition("(")[0])
        return
    path = re.sub(r":+\w+$", "", span)
    if not re.fullmatch(r"[\w.][\w.*/{},-]*", path):
        return
    is_ours = "/" in path and path.split("/")[0] in FOLDERS
    if is_ours or path.endswith(SUFFIXES):
        for one in _alternatives(path):
            if not _is_there(one):
                yield f"no {one}"


def _is_there(path: str) -> bool:
    """Whether it is in the repository or in the package; a bare name: anywhere."""
    path = path.rstrip("/")
    patterns = [path, f"poseseg_jax/{path}"]
    if "/" not in path:
        patterns += [f"{folder}/**/{path}" for folder in FOLDERS]
    return any(next(REPOSITORY.glob(one), None) for one in patterns)


def _alternatives(path: str) -> list[str]:
    """a{b,c} -> ab, ac."""
    match = re.search(r"\{([^{}]*)\}", path)
    if not match:
        return [path]
    before, after = path[: match.start()], path[match.end() :]
    options = match.group(1).split(",")
    return [one for o in options for one in _alternatives(f"{before}{o}{after}")]
