"""Runs an experiment to its report: what every script of this folder calls.

    python -m experiments.NAME --output=O [--preset=tiny] [--seeds=3] [--dry_run]
        [--only=VARIANT] [--jobs=2 | --gpus=0,1] [--config.x=y ...]

O/runs/ holds a workdir for every variant and seed, O/results.csv a line for each, and
O/report.md the tables and charts. Started again, it skips what is finished and goes on
with what is not; failed runs are tried again. Interrupted with Ctrl-C or by `kill`, it
lets the runs at work save first, and reports what is finished; a second Ctrl-C spares
the report. With --report_only it reports what is there, also while another one of these
is at work on it.
"""

import argparse
import functools
import logging
import shlex
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from experiments import costs, launch, report, schedule
from experiments.grid import CONFIG, Experiment, Run
from experiments.planning import plan
from poseseg_jax import command, config_flag
from poseseg_jax.workdir import occupied

flags.disclaim_key_flags()  # every script has them, and lists them in --help

_log = logging.getLogger(__name__)

_STOPPED = "Interrupted. The same command goes on with what is not finished."
_COMPILED = ".compiled"  # beside the runs, which share it


def main(experiment: Experiment) -> None:
    """The command of an experiment."""
    flags.DEFINE_string("output", None, "Where runs and report go.", required=True)
    flags.DEFINE_string("preset", "", "Of the config: tiny runs anywhere.")
    flags.DEFINE_integer("seeds", 3, "Runs of every variant.")
    flags.DEFINE_integer("jobs", 1, "Runs at a time, on this machine's processors.")
    flags.DEFINE_list("gpus", [], "GPUs with a run at a time on each, as 0,1,2.")
    flags.DEFINE_multi_string(
        "only", [], "Variant to run now, with what it needs. Several: give it again."
    )
    flags.DEFINE_bool("dry_run", False, "Say what would be run, and what it costs.")
    flags.DEFINE_bool("report_only", False, "Report what is there now; run nothing.")
    config_flag.define(
        CONFIG,
        help="Config with which all runs begin; --preset names its preset. "
        "--config.GROUP.FIELD=VALUE sets a field of all of them.",
    )

    def run(_) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _run(experiment, Path(flags.FLAGS.output))

    command.run(
        run,
        flags_parser=lambda argv: config_flag.parse_flags(preset_set(argv)),
        interrupted=_STOPPED,
    )


def _run(experiment: Experiment, output: Path) -> None:
    given = flags.FLAGS
    plan_all = functools.partial(
        plan,
        experiment,
        output / "runs",
        file=config_flag.path(),
        config=config_flag.given(),
        overrides=config_flag.overrides(),
        seeds=given.seeds,
    )
    wanted = plan_all(only=given.only)
    if given.dry_run:
        print(costs.table(wanted))
        return
    # The report is of the whole grid, whatever part of it is run now.
    runs = plan_all()

    def tell() -> None:
        command = _command(experiment, output, jobs=_jobs(runs))
        report.write(experiment, runs, output, command=command)

    if given.report_only:
        tell()
    else:
        compiled = output / "runs" / _COMPILED
        with occupied(output / "runs"):
            work(wanted, schedule.places(given.jobs, given.gpus, compiled), tell)
    print(f"{output / 'report.md'} tells what came out.")
    failed = sum(launch.state(run) == "failed" for run in runs)
    if failed:
        raise SystemExit(f"{failed} of {len(runs)} runs failed; the report says how.")


def work(
    runs: Sequence[Run], places: Sequence[launch.Place], tell: Callable[[], object]
) -> None:
    """Runs what is not finished, and tells what came of it.

    Args:
      runs: as planned.
      places: where they may be at work.
      tell: writes the report: in the end, however many runs failed, and after Ctrl-C.
    """
    try:
        schedule.run_all(runs, places)
    except KeyboardInterrupt:
        _log.info("Reporting what is finished; Ctrl-C spares it.")
        tell()
        raise
    tell()


def preset_set(argv: list[str]) -> list[str]:
    """The command line with the preset where a config has it, behind a colon.

    Raises:
      SystemExit: for two presets.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", "-preset", default="")
    parser.add_argument("--config", "-config", default=CONFIG)
    given, rest = parser.parse_known_args(argv[1:])
    path, colon, preset = given.config.partition(":")
    if colon and given.preset not in ("", preset):
        raise SystemExit(
            f"--config={given.config} and --preset={given.preset} name two presets."
        )
    preset = preset or given.preset
    return [
        argv[0],
        f"--config={path}:{preset}" if preset else f"--config={path}",
        f"--preset={preset}",
        *rest,
    ]


def _jobs(runs: Sequence[Run]) -> int:
    """How many were at work at a time, if all say the same; else what is asked now."""
    said = {start["sharing"] for run in runs for start in launch.starts(run)}
    return said.pop() if len(said) == 1 else flags.FLAGS.jobs


def _command(experiment: Experiment, output: Path, *, jobs: int) -> str:
    """What makes the report, to the last digit, which sharing a CPU changes."""
    given = flags.FLAGS
    path, _, preset = config_flag.path().partition(":")
    words = ["python", "-m", f"experiments.{experiment.name}", f"--output={output}"]
    words += [] if path == CONFIG else [f"--config={path}"]
    words += [f"--preset={preset}"] if preset else []
    words += [f"--seeds={given.seeds}", f"--jobs={jobs}"]
    overrides = config_flag.overrides()
    words += [f"--config.{launch.flag(n, v)}" for n, v in overrides.items()]
    return shlex.join(words)
