"""Lists the commands of poseseg_jax, and says which version this is.

python -m poseseg_jax
python -m poseseg_jax --version
"""

import ast
import platform
from importlib import metadata
from pathlib import Path

from absl import flags

import poseseg_jax
from poseseg_jax import command

_PACKAGES = ("jax", "flax")
_MORE = """\
Each takes --help. Experiments, each a grid of runs and a report, are
`python -m experiments.NAME`, and experiments/README.md names them; `make bench` says
how fast all is."""


def commands() -> dict[str, str]:
    """All modules of the package that are commands, and what each does, in a line."""
    found = {}
    for path in sorted(Path(poseseg_jax.__path__[0]).rglob("*.py")):
        name = ".".join(("poseseg_jax", *_parts(path)))
        text = path.read_text()
        if '\nif __name__ == "__main__":' in text and path != Path(__file__):
            words = ast.get_docstring(ast.parse(text)) or ""
            found[name] = words.partition("\n")[0]
    return found


def _parts(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(poseseg_jax.__path__[0]).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__main__" else parts


def version() -> str:
    """Of this package and of what its numbers depend on, with the devices at hand."""
    import jax  # which takes a second

    devices = [device.device_kind for device in jax.devices()]
    kinds = {kind: devices.count(kind) for kind in devices}
    lines = [f"poseseg_jax {poseseg_jax.__version__}"]
    lines += [f"{package} {metadata.version(package)}" for package in _PACKAGES]
    lines.append(f"Python {platform.python_version()}")
    found = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    return "\n".join([*lines, f"devices: {found}"])


def listing() -> str:
    """The commands as a text."""
    lines = [f"  python -m {name}\n      {does}" for name, does in commands().items()]
    return "\n".join([f"{poseseg_jax.__doc__}\n", *lines, "", _MORE])


def _main(_) -> None:
    print(version() if flags.FLAGS.version else listing())


if __name__ == "__main__":
    flags.DEFINE_bool(
        "version", False, "Say this version, JAX' version, and what devices JAX finds."
    )
    command.run(_main)
