"""How a run ends before its end: what it saves, and what it says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from poseseg_jax.disk import full_disk_explained
from poseseg_jax.interruption import Interrupted

_DIVERGED = (
    "Nothing after it is saved. The same command comes to the same step again, so take "
    "another --workdir, and a lower --config.optim.learning_rate, a longer "
    "--config.optim.warmup_steps or a smaller --config.optim.clip."
)
_NO_ROOM = "What was saved before is whole. Make room, and give the same command again."


@contextmanager
def explained(
    workdir: Path, *, save: Callable[[], None], latest_step: Callable[[], int | None]
) -> Iterator[None]:
    """Makes of what ends a run inside of the `with` an error that says how to go on.

    Args:
      workdir: of the run.
      save: writes a checkpoint of what has been learned so far.
      latest_step: of the checkpoints.

    Raises:
      Interrupted, ChildProcessError: after what has been learned was saved.
      FloatingPointError: with the last step that was saved; what came later is lost.
      OSError: ENOSPC where the disk is full.
    """

    def saved() -> str:
        step = latest_step()
        if step is None:
            return f"There is no checkpoint in {workdir} yet"
        return f"Step {step} is saved in {workdir}"

    with full_disk_explained(workdir, _NO_ROOM):
        try:
            with _saving(save, saved):
                yield
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} {saved()}. {_DIVERGED}") from None


@contextmanager
def _saving(save: Callable[[], None], saved: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except (Interrupted, ChildProcessError) as stop:
        save()
        words = f"{stop} {saved()}; the same command goes on from there."
        if isinstance(stop, Interrupted):
            raise Interrupted(stop.signal, words) from None
        raise ChildProcessError(words) from None
