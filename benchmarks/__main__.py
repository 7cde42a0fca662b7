"""All benchmarks, one after the other.

    python -m benchmarks

Each prints a table, and puts its figures into benchmarks.json. Each is a command of its
own, too, with more flags: python -m benchmarks.decode --help.
"""

import argparse
import importlib
import pkgutil

import benchmarks
from benchmarks import report


def names() -> list[str]:
    """The benchmarks there are: modules with a `main`, but for this one."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in found}
    return [name for name, module in modules.items() if hasattr(module, "main")]


def _main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smallest", action="store_true", help=report.SMALLEST)
    chosen = ["--smallest"] if parser.parse_args().smallest else []
    for name in names():
        main = importlib.import_module(f"benchmarks.{name}").main
        report.run(name, main, chosen)


if __name__ == "__main__":
    _main()
