"""Of which code, packages and device a run is: what a report says of its origin."""

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
_PACKAGES = ("jax", "flax", "optax", "numpy", "pycocotools")
_NO_COMMIT = "unknown: not a git repository"
_CHANGED = ", with changes"


def commit() -> str:
    """Of this repository, and whether its files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=_REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    found = git("rev-parse", "--short=10", "HEAD")
    if not found:
        return _NO_COMMIT
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{found}{_CHANGED}" if changed else found


def is_exact(commit: str) -> bool:
    """Whether the same words of `commit` always mean the same code."""
    return commit != _NO_COMMIT and not commit.endswith(_CHANGED)


def versions() -> dict[str, str]:
    """Of Python, and of the packages that numbers depend on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


@functools.cache
def device(variables: tuple[tuple[str, str], ...]) -> str:
    """What JAX finds; asked by a process that leaves it again.

    Args:
      variables: of that process' environment, beside this one's: names and values.

    Raises:
      ValueError: if JAX does not start there, with its own last words.
    """
    program = "import jax; print(jax.devices()[0].device_kind)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **dict(variables)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        where = " ".join(f"{name}={value}" for name, value in variables)
        raise ValueError(
            f"JAX does not start with {where}: {said[-1]}. Mend that, and give "
            "the same command again."
        )
    kind = done.stdout.strip()
    return f"a CPU with {os.cpu_count()} cores" if kind == "cpu" else kind
