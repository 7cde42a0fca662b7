"""Trains and evaluates what a config describes.

    python -m poseseg_jax.main --config=configs/bias70.py --workdir=runs/bias70
    python -m poseseg_jax.main --config=configs/bias70.py:tiny --workdir=runs/tiny

`:tiny` is a preset: minutes on two CPU cores, on drawn people. Any field of the config
can be set, as in --config.train.num_steps=1000. The same command again goes on where it
stopped.
"""

import sys
from pathlib import Path

from absl import flags

from poseseg_jax import command, config_flag

config_flag.define()
# While data are prepared, or the last files are written.
_INTERRUPTED = "Interrupted. The same command does again what was not finished."
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    "",
    'Of several processes: address of the first, host:port, or "auto" under Slurm, '
    "Open MPI and on TPU pods.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", 0, "How many there are.")
_PROCESS_ID = flags.DEFINE_integer("process_id", -1, "Which this is, from 0.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where the run is kept.", required=True)


def _main(_) -> None:
    # Loader processes import this module again; they need none of the below.
    from poseseg_jax import hosts, judging, train

    config = config_flag.given()
    try:
        if _COORDINATOR.value:
            address = _COORDINATOR.value
            hosts.join(address, _NUM_PROCESSES.value, _PROCESS_ID.value)
            command.speak(quietly=not hosts.is_first())
        else:
            train.use_every_core(config)
        with hosts.leaving_at_once():
            metrics = train.run(config, Path(_WORKDIR.value))
    except train.Interrupted as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    if hosts.is_first():
        workdir = Path(_WORKDIR.value)
        print(f"{judging.caption(metrics, workdir)}\n{judging.report(metrics)}")


if __name__ == "__main__":
    command.run(_main, flags_parser=config_flag.parse_flags, interrupted=_INTERRUPTED)
