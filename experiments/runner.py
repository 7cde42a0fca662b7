"""Runs an experiment to its report: what every script of this folder calls.

    python -m experiments.NAME --output=O [--preset=tiny] [--seeds=3] [--dry_run]
        [--jobs=2 | --gpus=0,1] [--config.x=y ...]

O/runs/ holds a workdir for every variant and seed, O/results.csv a line for each, and
O/report.md the tables and charts. Started again, it skips what is finished and goes on
with what is not; failed runs are tried again. Interrupted with Ctrl-C or by `kill`, it
lets the runs at work save first.
"""

import logging
import shlex
import signal
import sys
from pathlib import Path

from absl import app, flags

from configs import base
from experiments import costs, report, schedule
from experiments.grid import CONFIG, Experiment, plan
from poseseg_jax import config_flag
from poseseg_jax.logbook import speak

flags.disclaim_key_flags()  # every script has them, and lists them in --help

_STOPPED = "Interrupted. The same command goes on with what is not finished."
_COMPILED = ".compiled"  # beside the runs, which share it


def main(experiment: Experiment) -> None:
    """The command of an experiment."""
    flags.DEFINE_string("output", None, "Where runs and report go.", required=True)
    flags.DEFINE_enum("preset", "", base.PRESETS, "Of the config: tiny runs anywhere.")
    flags.DEFINE_integer("seeds", 3, "Runs of every variant.")
    flags.DEFINE_integer("jobs", 1, "Runs at a time, on this machine's processors.")
    flags.DEFINE_list("gpus", [], "GPUs with a run at a time on each, as 0,1,2.")
    flags.DEFINE_bool("dry_run", False, "Say what would be run, and what it costs.")
    flags.DEFINE_bool("report_only", False, "Report what is there; run nothing.")
    config_flag.define(
        CONFIG,
        help="Config with which all runs begin; --preset names its preset. "
        "--config.GROUP.FIELD=VALUE sets a field of all of them.",
    )

    def run(_) -> None:
        speak()
        logging.getLogger("experiments").setLevel(logging.INFO)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _run(experiment, Path(flags.FLAGS.output))
        except KeyboardInterrupt:
            print(_STOPPED, file=sys.stderr)
            raise SystemExit(130) from None
        except (ValueError, OSError) as error:
            raise SystemExit(f"{type(error).__name__}: {error}") from None

    app.run(run, flags_parser=lambda argv: config_flag.parse_flags(_preset_set(argv)))


def _run(experiment: Experiment, output: Path) -> None:
    given = flags.FLAGS
    runs = plan(
        experiment,
        output / "runs",
        file=config_flag.path(),
        config=config_flag.given(),
        overrides=config_flag.overrides(),
        seeds=given.seeds,
    )
    if given.dry_run:
        print(costs.table(runs))
        return
    places = schedule.places(given.jobs, given.gpus, output / "runs" / _COMPILED)
    if not given.report_only:
        schedule.run_all(runs, places)
    report.write(experiment, runs, output, command=_command(experiment))
    print(f"{output / 'report.md'} tells what came out.")


def _preset_set(argv: list[str]) -> list[str]:
    """--preset=tiny is short for a colon behind the config."""
    presets = [word for word in argv if word.startswith("--preset=")]
    preset = "".join(presets[-1:]).partition("=")[2]
    given = [word for word in argv if word.startswith("--config=")]
    path = "".join(given[-1:]).partition("=")[2] or CONFIG
    if not preset or preset not in base.PRESETS or ":" in path:
        return argv
    rest = [word for word in argv[1:] if word not in given]
    return [argv[0], f"--config={path}:{preset}", *rest]


def _command(experiment: Experiment) -> str:
    """As it was typed, but for flags that say how, and not what, is run."""
    how = ("--dry_run", "--report_only", "--jobs", "--gpus")
    words = [word for word in sys.argv[1:] if not word.startswith(how)]
    return shlex.join(["python", "-m", f"experiments.{experiment.name}", *words])
