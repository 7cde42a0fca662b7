"""How a run ends before its end: what it saves, and what it says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from poseseg_jax.disk import full_disk_explained
from poseseg_jax.interruption import Interrupted

_DIVERGED = (
    "Nothing after it is saved. On a CPU the same command comes to the same step "
    "again; on a GPU it may not: try once. Else take another --workdir, {with_what}a "
    "lower --config.optim.learning_rate, and --config.optim.clip above 0."
)
_WITH_WHAT = "--config.init.workdir={workdir} --config.init.what=all, "
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
        return "" if step is None else f"Step {step} is saved in {workdir}"

    with full_disk_explained(workdir, _NO_ROOM):
        try:
            with _saving(save, saved):
                yield
        except FloatingPointError as error:
            where = saved()
            with_what = _WITH_WHAT.format(workdir=workdir) if where else ""
            what = _DIVERGED.format(with_what=with_what)
            where = where or "Nothing was saved before"
            raise FloatingPointError(f"{error} {where}. {what}") from None


@contextmanager
def _saving(save: Callable[[], None], saved: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except (Interrupted, ChildProcessError) as stop:
        save()
        where, words = saved(), "Nothing was saved yet: the same command starts anew."
        if where:
            words = f"{where}; the same command goes on from there."
        words = f"{stop} {words}"
        if isinstance(stop, Interrupted):
            raise Interrupted(stop.signal, words) from None
        raise ChildProcessError(words) from None
