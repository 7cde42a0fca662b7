"""Writes what of docs/ is generated.

    python -m poseseg_jax.pages --output=docs [--workdir=W]

writes config.md. With a trained network also what it says of one picture: maps/*.jpg
and decoder/*.jpg, and the table of numbers in decoder.md.
"""

from pathlib import Path

from absl import app, flags

from poseseg_jax.disk import write_whole
from poseseg_jax.logbook import speak
from poseseg_jax.pages import config_page


def _main(_) -> None:
    speak()
    output = Path(flags.FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "config.md", config_page.text())


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "The folder to write into.", required=True)
    flags.DEFINE_string(
        "workdir", None, "Of a training run; default: only what needs no network."
    )
    app.run(_main)
