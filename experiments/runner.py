"""Runs an experiment to its report: what every script of this folder calls.

    python -m experiments.NAME --output=O [--preset=tiny] [--seeds=3] [--dry_run]
        [--jobs=2 | --gpus=0,1] [--config.x=y ...]

O/runs/ holds a workdir for every variant and seed, O/results.csv a line for each, and
O/report.md the tables and charts. Started again, it skips what is finished and goes on
with what is not; failed runs are tried again. Interrupted with Ctrl-C or by `kill`, it
lets the runs at work save first.
"""

import logging
import signal
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from configs import base
from experiments import costs, report, schedule
from experiments.grid import CONFIG, Experiment, plan
from poseseg_jax.logbook import speak

_log = logging.getLogger(__name__)

_STOPPED = "Interrupted. The same command goes on with what is not finished."


def main(experiment: Experiment) -> None:
    """The command of an experiment."""
    flags.DEFINE_string("output", None, "Where runs and report go.", required=True)
    flags.DEFINE_enum("preset", "", base.PRESETS, "Of the config: tiny runs anywhere.")
    flags.DEFINE_integer("seeds", 3, "Runs of every variant.")
    flags.DEFINE_integer("jobs", 1, "Runs at a time, on this machine's processors.")
    flags.DEFINE_list("gpus", [], "GPUs with a run at a time on each, as 0,1,2.")
    flags.DEFINE_bool("dry_run", False, "Say what would be run, and what it costs.")
    flags.DEFINE_bool("report_only", False, "Report what is there; run nothing.")
    config = config_flags.DEFINE_config_file("config", CONFIG, "Fields of every run.")

    def run(_) -> None:
        speak()
        logging.getLogger("experiments").setLevel(logging.INFO)
        given = flags.FLAGS
        overrides = dict(config_flags.get_override_values(given["config"]))
        del config
        output = Path(given.output)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            runs = plan(
                experiment,
                output / "runs",
                seeds=given.seeds,
                preset=given.preset,
                overrides=overrides,
            )
            if given.dry_run:
                print(costs.table(runs))
                return
            if not given.report_only:
                places = schedule.places(given.jobs, given.gpus, output / "runs")
                schedule.run_all(runs, given.preset, places)
            print(report.write(experiment, runs, output, preset=given.preset))
        except KeyboardInterrupt:
            raise SystemExit(_STOPPED) from None
        except ValueError as error:
            raise SystemExit(f"{type(error).__name__}: {error}") from None

    app.run(run)
