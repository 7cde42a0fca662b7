"""Writes what of docs/ is generated.

    python -m poseseg_jax.pages --output=docs

writes config.md and, of what a trained network says of one picture, maps/*.jpg and
decoder/*.jpg, and the table of numbers in decoder.md, if that page is there.
"""

from pathlib import Path

from absl import flags

from poseseg_jax import command, visualize
from poseseg_jax.disk import write_whole
from poseseg_jax.inference import BOX
from poseseg_jax.pages import blocks, config_page, map_figures, step_figures
from poseseg_jax.pages.picture import Explained, explain


def write_explained(explained: Explained, output: Path) -> None:
    """Pictures and numbers of one picture.

    Args:
      explained: the picture.
      output: the folder of the pages.

    Raises:
      ValueError: if the page has no place for the numbers.
    """
    folders = {"maps": map_figures.figures, "decoder": step_figures.figures}
    for folder, figures in folders.items():
        for name, figure in figures(explained).items():
            visualize.write_jpeg(output / folder / f"{name}.jpg", figure)
    page = output / "decoder.md"
    if page.exists():
        numbers = step_figures.numbers(explained)
        try:
            filled = blocks.fill(page.read_text(), "numbers", numbers)
        except ValueError as error:
            raise ValueError(f"{page}: {error}") from None
        write_whole(page, filled)


def _main(_) -> None:
    output = Path(flags.FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "config.md", config_page.text())
    write_explained(explain(Path(flags.FLAGS.workdir)), output)


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "The folder to write into.", required=True)
    flags.DEFINE_string(
        "workdir", str(BOX), "Of a training run, or of an export: whose maps are shown."
    )
    command.run(_main)
