"""docs/config.md: every field of a config, from configs/base.py and its comments."""

import ast
import importlib
import inspect
import io
import pkgutil
import tokenize
from collections.abc import Iterator, Mapping
from typing import Any

import configs
from configs import base
from poseseg_jax.fields import flat
from poseseg_jax.markdown import table

_HEAD = """\
# Every field of a config

Written by `python -m poseseg_jax.pages --output=docs`: change `configs/base.py`, and
not this page.

A config is a file with a function `get_config(preset)`. The defaults are the real
thing, COCO on one large GPU; the preset `tiny`, put behind any config, is minutes on
two CPU cores, on drawn people. Any field can be set on the command line, behind the
config: `--config.train.num_steps=1000`.

`poseseg_jax/config.py` turns the fields into settings, and refuses a name that it does
not know and a value that makes no sense. Each run keeps its own fields in its workdir,
as `config.json`.

In the tables, a field without a value under `tiny` has its default there, and px are
pixels of the input.
"""
_CONFIGS = """\
## Configs

Each is `configs/base.py` and at most one difference, of which
[bias reduction](bias_reduction.md) tells.
"""


def text() -> str:
    """The whole page."""
    said = meanings(inspect.getsource(base))
    values = [flat(base.get_config(preset).to_dict()) for preset in ("", "tiny")]
    groups: dict[str, dict[str, str]] = {}
    for name, meaning in said.items():  # in the order of the file
        group, _, _ = name.rpartition(".")
        groups.setdefault(group, {})[name] = meaning
    parts = [_HEAD, _CONFIGS, _table_of_configs()]
    for group, fields in groups.items():
        parts += [f"## {group or 'In no group'}\n", _table(fields, *values)]
    return "\n".join(parts)


def meanings(source: str) -> dict[str, str]:
    """What the comments of configs/base.py say of each field, by its whole name.

    A field's comment stands in the lines above it, or behind its value.

    Raises:
      ValueError: naming the field that has none.
    """
    comments = _comments(source)
    found: dict[str, str] = {}
    for name, first, last in _places(ast.parse(source)):
        start = first
        while comments.get(start - 1, ("", False))[1]:
            start -= 1
        above = " ".join(comments[row][0] for row in range(start, first))
        behind = comments[last][0] if last in comments else ""
        said = ". ".join(words for words in (behind, above) if words)
        if not said:
            raise ValueError(
                f"configs/base.py, line {first}: {name} has no comment; expected what "
                "it is and its unit, above it or behind its value"
            )
        found[name] = said
    return found


def _comments(source: str) -> dict[int, tuple[str, bool]]:
    """By line: the words, and whether the line holds nothing else."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: (token.string.lstrip("# "), token.line.lstrip()[:1] == "#")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _places(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """The whole name of each field of the base config, and its lines."""
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    for name, value in _entries(functions["get_config"]):
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            entries = _entries(functions[value.func.id])
        elif isinstance(value, ast.Dict):
            entries = _items(value)
        else:
            yield name, value.lineno, value.end_lineno or value.lineno
            continue
        for field, inner in entries:
            yield f"{name}.{field}", inner.lineno, inner.end_lineno or inner.lineno


def _entries(function: ast.FunctionDef) -> list[tuple[str, ast.expr]]:
    """Of the first dict that a function writes down."""
    return _items(next(n for n in ast.walk(function) if isinstance(n, ast.Dict)))


def _items(node: ast.Dict) -> list[tuple[str, ast.expr]]:
    return [
        (key.value, value)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


def _table(
    said: Mapping[str, str], default: Mapping[str, Any], tiny: Mapping[str, Any]
) -> str:
    rows = []
    for name, meaning in said.items():
        small = _value(tiny[name]) if tiny[name] != default[name] else ""
        field = f"`{name.rpartition('.')[2]}`"
        rows.append((field, _value(default[name]), small, _cell(meaning)))
    return table(("field", "default", "`tiny`", "what it is"), rows, words=4)


def _table_of_configs() -> str:
    usual = flat(base.get_config().to_dict())
    rows = []
    for module in _modules():
        own = flat(module.get_config().to_dict())
        changed = {name: own[name] for name in own if own[name] != usual[name]}
        fields = ", ".join(f"`{name}` {_value(one)}" for name, one in changed.items())
        name = module.__name__.rpartition(".")[2]
        what = (module.__doc__ or "").partition("\n")[0]
        rows.append((f"`configs/{name}.py`", _cell(what), fields or "nothing"))
    return table(("config", "what it is", "what differs"), rows, words=3)


def _modules() -> list[Any]:
    names = sorted(module.name for module in pkgutil.iter_modules(configs.__path__))
    return [importlib.import_module(f"configs.{n}") for n in names if n != "base"]


def _value(value: Any) -> str:
    return f'`"{_cell(value)}"`' if isinstance(value, str) else f"`{value!r}`"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
