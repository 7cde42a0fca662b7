"""Fuzzers of everything that reads other people's files.

`python -m tests.fuzz --target=annotations|segmentation|picture --minutes=10` tries
inputs that hypothesis makes of good ones; `--engine=atheris` lets what the code did
with an input guide the next one (`pip install atheris`). What counts as a finding is
said in fuzz_targets.py. The first one ends the run, with the input; also a crash leaves
it, in the folder that is named at the start.
"""

import argparse
import faulthandler
import importlib
import logging
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

MAX_SECONDS = 10  # for an input of a few kilobytes, on a busy machine
MAX_MEGABYTES = 2048
NAMES = ("annotations", "segmentation", "picture")
_MAX_BYTES = 4096


class Watched:
    """A target that is stopped by time and memory, counts, and remembers its input."""

    def __init__(self, run: Any, folder: Path | None = None):
        self.run = run
        self.last = folder / "input" if folder else None
        self.executions = 0

    def __call__(self, data: bytes) -> None:
        self.executions += 1
        if self.last:  # for crashes: nothing else would be left
            self.last.write_bytes(data)
        begin = time.process_time()
        self.run(data)
        seconds = time.process_time() - begin
        assert seconds < MAX_SECONDS, f"took {seconds:.1f} s: {data[:200]!r}"
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        assert megabytes < MAX_MEGABYTES, f"took {megabytes} MB: {data[:200]!r}"


def inputs(name: str, seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes, seeds with some bytes changed, or changes of a good document."""
    edits = st.tuples(st.integers(0, 2**16), st.integers(0, 3), st.binary(max_size=4))
    edited = st.builds(edit, st.sampled_from(seeds), st.lists(edits, max_size=6))
    strategies = [edited, st.binary(max_size=200)]
    if name == "annotations":
        changes = st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=4)
        strategies += [changes.map(lambda parts: b"\0" + b"".join(parts))]
        # Small numbers, which hypothesis prefers, mean the outer parts of a document.
        strategies += [st.integers(0, 2**32).map(_random_changes)] * 3
    if name == "segmentation":
        kinds = st.integers(0, 40).map(lambda kind: bytes([kind]))
        strategies.append(
            st.builds(bytes.__add__, kinds, st.binary(min_size=2, max_size=300))
        )
    return st.one_of(strategies)


def _random_changes(number: int) -> bytes:
    generator = random.Random(number)
    return b"\0" + generator.randbytes(6 * generator.randint(1, 4))


def edit(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Bytes after edits (where, how, what): written over, put in, cut, cut off."""
    for place, how, what in edits:
        place %= len(data) + 1
        rest = (what + data[place + len(what) :], what + data[place:])
        rest += (data[place + len(what) :], what)
        data = data[:place] + rest[how]
    return data


def with_hypothesis(name: str, target: Any, watched: Watched, minutes: float) -> None:
    """Rounds of new examples until the time is over."""
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        number = random.SystemRandom().getrandbits(32)

        @seed(number)
        @settings(
            max_examples=500,
            deadline=None,
            database=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs(name, target.seeds()))
        def round_of(data: bytes) -> None:
            if time.monotonic() < end:
                watched(data)

        round_of()


def with_atheris(target: Any, watched: Watched, minutes: float, folder: Path) -> None:
    """libFuzzer, until the time is over; it ends the process."""
    import atheris  # pyright: ignore[reportMissingImports]  # optional

    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for index, data in enumerate(target.seeds()):
        (corpus / f"seed{index}").write_bytes(data)
    flags = [f"-max_total_time={round(60 * minutes)}", f"-rss_limit_mb={MAX_MEGABYTES}"]
    flags += [
        f"-timeout={MAX_SECONDS}",
        f"-max_len={_MAX_BYTES}",
        "-print_final_stats=1",
    ]
    flags += [f"-artifact_prefix={folder}/", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], watched)
    atheris.Fuzz()


def load_targets(engine: str) -> dict[str, Any]:
    """Imports the targets; for atheris so that it sees which branches are taken."""
    if engine != "atheris":
        return importlib.import_module("tests.fuzz_targets").TARGETS
    import atheris  # pyright: ignore[reportMissingImports]

    with atheris.instrument_imports(include=["poseseg_jax.coco", "poseseg_jax.data"]):
        return importlib.import_module("tests.fuzz_targets").TARGETS


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=NAMES, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--engine", choices=("hypothesis", "atheris"), default="hypothesis"
    )
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{args.target}-"))
    print(f"Fuzzing {args.target} with {args.engine} in {folder}", flush=True)
    target = load_targets(args.engine)[args.target]
    watched = Watched(target.run, folder)
    begin = time.monotonic()
    if args.engine == "atheris":
        with_atheris(target, watched, args.minutes, folder)
        return
    # What decoders have to say of broken pictures fills screens.
    screen = os.dup(2)
    faulthandler.enable(screen)
    with (folder / "stderr").open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        with_hypothesis(args.target, target, watched, args.minutes)
    finally:
        os.dup2(screen, 2)
    print(
        f"{args.target}: {watched.executions} inputs in "
        f"{(time.monotonic() - begin) / 60:.1f} minutes, no finding"
    )


if __name__ == "__main__":
    main()
