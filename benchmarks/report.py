"""What benchmarks share: rows, repeats that alternate, a table, benchmarks.json."""

import argparse
import dataclasses
import datetime
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

RESULTS = Path("benchmarks.json")
SMALLEST = "as little as shows that it runs; the figures then mean nothing"
_PACKAGES = ("jax", "flax", "numpy", "opencv-python-headless", "grain")
_HEADER = ("what", "value", "unit", "of", "ratio", "note")

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
      name: what was measured.
      value: the median over the repeats.
      unit: of the value.
      reference: the name of the row that `ratio` compares with.
      ratio: this row to the reference; more than 1 is more of the unit.
      note: what a reader has to know.
    """

    name: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    note: str = ""


def parser(
    name: str, description: str | None, *, repeats: bool = True
) -> argparse.ArgumentParser:
    """The flags that every benchmark takes, `--repeats` where it repeats anything."""
    flags = argparse.ArgumentParser(
        f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument("--smallest", action="store_true", help=SMALLEST)
    if repeats:
        text = "the median of so many"
        flags.add_argument("--repeats", type=int, default=5, help=text)
    return flags


def run(
    name: str,
    main: Callable[[Sequence[str]], list[Row]],
    argv: Sequence[str] | None = None,
) -> None:
    """Runs a benchmark, prints its table and merges it into benchmarks.json."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        rows = main(argv)
    except ValueError as error:
        raise SystemExit(f"benchmarks.{name}: {error}") from None
    print(f"\n{name} {' '.join(argv)}".rstrip())
    print(table(rows), flush=True)
    keep(RESULTS, name, rows, argv)


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_number = (False, True, False, False, True, False)
    lines = []
    for line in cells:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def keep(path: Path, name: str, rows: Sequence[Row], argv: Sequence[str]) -> None:
    """Puts a benchmark's rows into the file, in place of its former ones."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arguments": list(argv),
        "machine": machine(),
        "versions": {package: metadata.version(package) for package in _PACKAGES},
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    path.write_text(json.dumps(results, indent=2) + "\n")


def machine() -> dict[str, str | int]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def alternate(tasks: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Runs all tasks in turn, `repeats` times: noise that lasts hits all of them."""
    found: dict[str, list[T]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            found[name].append(task())
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long something takes, once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median_ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """The median of the ratios of what was measured side by side."""
    pairs = zip(values, reference, strict=True)
    return statistics.median(value / other for value, other in pairs)


def peak_memory(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and by how much it raised this process' memory at most, MiB.

    Memory of its child processes does not count. Linux only.
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before = _memory("VmRSS")
    result = work()
    return result, (_memory("VmHWM") - before) / 1024


def _memory(field: str) -> int:
    """A line of /proc/self/status, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    value = f"{row.value:.4g}" if abs(row.value) < 1000 else f"{row.value:.0f}"
    return row.name, value, row.unit, row.reference, ratio, row.note
