"""Files of named arrays. safetensors lives here and nowhere else.

Only arrays are read; nothing in such a file can run code.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from poseseg_jax.disk import write_whole


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file by their names, and its metadata.

    Raises:
      ValueError: naming the file, if it is no .safetensors file, and the array, if it
        has a type that NumPy lacks.
    """
    try:
        with safe_open(path, framework="np") as file:
            arrays = {name: _array(path, file, name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(_not_safetensors(Path(path), error)) from error


def write(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a file such that who looks finds the old one or the new one."""
    # Of other arrays, what lies in memory would be written, in that order.
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(path, save(whole, dict(metadata)))


def _array(path: str | Path, file: Any, name: str) -> np.ndarray:
    try:
        return file.get_tensor(name)
    except (AttributeError, TypeError) as error:  # NumPy has no such type
        dtype = file.get_slice(name).get_dtype()
        raise ValueError(
            f"{path}: {name} is {dtype}, which cannot be read. Save it as float32, "
            "float16 or bfloat16."
        ) from error


def _not_safetensors(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    said = f"{path} is not a .safetensors file ({error})."
    # torch.save writes a zip archive, and once wrote what opens a bare pickle.
    if path.suffix in (".pth", ".pt", ".bin") or start.startswith((b"PK", b"\x80")):
        said += (
            " It is a pickle, as torch.save writes it. Pickles are not read, because "
            "they can run code. Convert it where torch and safetensors are installed: "
            f"safetensors.torch.save_file(torch.load({str(path)!r}, weights_only=True),"
            f" {str(path.with_suffix('.safetensors'))!r})"
        )
    return said
