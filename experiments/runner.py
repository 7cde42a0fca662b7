"""Runs an experiment to its report: what every script of this folder calls.

    python -m experiments.NAME --output=O [--preset=tiny] [--seeds=3] [--dry_run]
        [--only=VARIANT] [--jobs=2 | --gpus=0,1] [--config.x=y ...]

O/runs/ holds a workdir for every variant and seed, O/results.csv a line for each, and
O/report.md the tables and charts. Started again, it skips what is finished and goes on
with what is not; failed runs are tried again. Interrupted with Ctrl-C or by `kill`, it
lets the runs at work save first.
"""

import argparse
import functools
import shlex
import signal
from pathlib import Path

from absl import flags

from experiments import costs, launch, report, schedule
from experiments.grid import CONFIG, Experiment
from experiments.planning import plan
from poseseg_jax import command, config_flag
from poseseg_jax.workdir import occupied

flags.disclaim_key_flags()  # every script has them, and lists them in --help

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
    flags.DEFINE_bool("report_only", False, "Report what is there; run nothing.")
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
    with occupied(output / "runs"):
        if not given.report_only:
            places = schedule.places(
                given.jobs, given.gpus, output / "runs" / _COMPILED
            )
            schedule.run_all(wanted, places)
        report.write(experiment, runs, output, command=_command(experiment, output))
    print(f"{output / 'report.md'} tells what came out.")
    failed = sum(launch.state(run) == "failed" for run in runs)
    if failed:
        raise SystemExit(f"{failed} of {len(runs)} runs failed; the report says how.")


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


def _command(experiment: Experiment, output: Path) -> str:
    """What makes the report: without what says how, and not what, is run."""
    given = flags.FLAGS
    path, _, preset = config_flag.path().partition(":")
    words = ["python", "-m", f"experiments.{experiment.name}", f"--output={output}"]
    words += [] if path == CONFIG else [f"--config={path}"]
    words += [f"--preset={preset}"] if preset else []
    words.append(f"--seeds={given.seeds}")
    overrides = config_flag.overrides()
    words += [f"--config.{launch.flag(n, v)}" for n, v in overrides.items()]
    return shlex.join(words)
