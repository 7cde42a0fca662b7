"""What every test stands on: checked types, the CPU, real pictures if there are any."""

import os
import sys
from pathlib import Path

# Before JAX is imported. A default only: `JAX_PLATFORMS=cuda make test` uses a GPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest
from absl import flags
from hypothesis import settings
from jaxtyping import install_import_hook

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# Hooked pytrees break `jax.tree.map` and Orbax, which build them from placeholders. The
# hook takes names with all that lies below them, so it is given all but this one.
_UNHOOKED = "structs"


def _modules_to_check() -> list[str]:
    names = (path.stem for path in (REPOSITORY / "poseseg_jax").iterdir())
    return [
        f"poseseg_jax.{name}"
        for name in sorted(names)
        if name not in (_UNHOOKED, "__init__", "__pycache__")
    ]


assert not any(name.startswith("poseseg_jax.") for name in sys.modules), (
    "poseseg_jax was imported before its types could be hooked."
)
# As everywhere in Python, an int will do for a float.
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(_modules_to_check(), _CHECKER)

# The first call compiles, so no example has a deadline; the same examples everywhere.
settings.register_profile("poseseg", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("poseseg")

# Grain reads absl flags when it starts workers; a command has parsed them by then.
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures; where there is none, the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real pictures are not there: {SHARED_DATA}")
    return SHARED_DATA
