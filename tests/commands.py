"""Commands of ours in this process, each as if it were alone in one of its own.

Imports, and what JAX has traced, are paid once; absl's flags, which all commands share,
are put away for each.
"""

import contextlib
import importlib.util
import io
import logging
import runpy
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from absl import app, flags

OURS = ("poseseg_jax", "experiments", "benchmarks", "tests", "__main__")
# What defines their flags: to absl, what jaxtyping looks at is jaxtyping's.
_DEFINES = (*OURS, "jaxtyping")
_LOGGERS = ("poseseg_jax", "experiments")


def run(module: str, *words: str, stdin: str = "") -> tuple[int, str]:
    """`python -m module words...`

    Returns:
      The exit status, and what the command said last if it was refused.
    """
    with _alone(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *words])
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        patch.setattr(app, "run", _run)
        warnings.simplefilter("ignore")  # which are errors to tests, not to commands
        try:
            # By its file: what pytest takes for a test, runpy does not find by name.
            runpy.run_path(_file(module), run_name="__main__")
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0, ""
            return 1, str(end.code)
    return 0, ""


def _file(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec and spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    if not spec or not spec.origin:
        raise ValueError(f"there is no {module} to be run")
    return spec.origin


def _run(
    main: Callable[[list[str]], Any],
    argv: list[str] | None = None,
    flags_parser: Callable[[list[str]], list[str]] | None = None,
) -> None:
    """absl's, but for what it changes in the whole process."""
    parse = flags_parser or flags.FLAGS
    main(parse(argv or sys.argv))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Takes back what a command changes for the whole process."""
    kept = {name: _copied(value) for name, value in vars(flags.FLAGS).items()}
    verbosity = flags.FLAGS.verbosity
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    on_end = signal.getsignal(signal.SIGTERM)
    try:
        for module, defined in flags.FLAGS.flags_by_module_dict().copy().items():
            if module.partition(".")[0] in _DEFINES:
                for flag in list(defined):
                    delattr(flags.FLAGS, flag.name)
        with warnings.catch_warnings():
            yield
    finally:
        vars(flags.FLAGS).update(kept)
        flags.FLAGS.verbosity = verbosity
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        signal.signal(signal.SIGTERM, on_end)


def _copied(value: Any) -> Any:
    """Of what absl keeps, down to the flags, which stay the same."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return value.copy() if isinstance(value, list | set) else value
