"""What a user sees while waiting, as in the log: a bar on a terminal that can show it, a line a phase everywhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from lwlrd_jax import stopping
from lwlrd_jax.errors import with_flags
from lwlrd_jax.watch.log import event


class PlainConsole(Console):
  """A console that fails as `print` does once its reader is gone, and prints flags for settings between backticks."""

  def on_broken_pipe(self) -> None:
    """Raises what `print` raises; rich would end the process with its own exit code."""
    raise BrokenPipeError

  def print(self, *objects: Any, **options: Any) -> None:
    """Prints, with flags for settings."""
    super().print(*(with_flags(part) if isinstance(part, str) else part for part in objects), **options)


class _LoggedConsole(PlainConsole):
  """A console whose lines of text are in the log too, but not the bars it draws."""

  def on_broken_pipe(self) -> None:
    """Once its reader is gone, unfinished work is saved first."""
    self.quiet = True
    stopping.request("its messages' reader went away", stopping.EXIT_PIPE)

  def print(self, *objects: Any, **options: Any) -> None:
    self.show(*objects, **options)
    if objects and all(isinstance(part, str) for part in objects):
      event("message", said=with_flags(" ".join(objects)))

  def show(self, *objects: Any, **options: Any) -> None:
    """Prints, and no more."""
    super().print(*objects, **options)


_NARROWEST = 50  # columns
console = _LoggedConsole(stderr=True, highlight=False)


def _can_draw() -> bool:
  fit = console.encoding.startswith("utf") and console.width >= _NARROWEST
  return console.is_terminal and not console.is_dumb_terminal and fit


class _Rate(ProgressColumn):
  def render(self, task: Task) -> Text:
    speed = task.finished_speed or task.speed
    return Text("" if speed is None else f"{speed:,.1f} {task.fields['rate_unit']}/s")


@contextlib.contextmanager
def phase(title: str, steps: int, *, members: int = 1, unit: str = "steps") -> Iterator[Callable[[int], None]]:
  """Shows the progress of some work: so many steps, called `unit`, of each of the members, which take them together.

  Yields a function to call with the number of steps each member has just finished; it raises `stopping.Stopped` if a
  stop was requested, so what is to be kept is saved before it is called.
  """
  amount = f"{steps} {unit}" if members == 1 else f"{members} members x {steps} {unit}"
  started = time.monotonic()
  about = {"title": title, "steps": steps, "members": members, "unit": unit}
  event("phase_begun", **about)
  bar = Progress(
    SpinnerColumn(),
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.fields[done]}/{task.fields[of]} {task.fields[unit]}"),
    _Rate(),
    TimeRemainingColumn(compact=True),
    console=console,
    transient=True,
    disable=not _can_draw(),
  )
  with bar:
    name = title if members == 1 else f"{title}, {members} members"
    rate_unit = unit if members == 1 else f"member-{unit}"
    task = bar.add_task(name, total=steps * members, unit=unit, rate_unit=rate_unit, done=0, of=steps)
    done = 0

    def advance(count: int) -> None:
      nonlocal done
      done += count
      bar.update(task, completed=done * members, done=done)
      stopping.check()

    yield advance
  seconds = time.monotonic() - started
  said = f"{title}: {amount} in {seconds:.1f} s"
  console.show(said)
  event("phase_ended", **about, seconds=round(seconds, 3), said=said)
