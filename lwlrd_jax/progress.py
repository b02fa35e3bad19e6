"""What a user sees while waiting: a bar on a terminal, a line a phase everywhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from lwlrd_jax import stopping

console = Console(stderr=True, highlight=False)


class _Rate(ProgressColumn):
  def render(self, task: Task) -> Text:
    speed = task.finished_speed or task.speed
    return Text("" if speed is None else f"{speed:,.1f} {task.fields['rate_unit']}/s")


@contextlib.contextmanager
def phase(title: str, steps: int, *, members: int = 1, unit: str = "steps") -> Iterator[Callable[[int], None]]:
  """Shows the progress of some work.

  Args:
    title: What is going on.
    steps: Steps, of each member.
    members: Members that take them together.
    unit: What a step is called.

  Yields:
    A function to call with the number of steps each member has just finished; it raises `stopping.Stopped` if somebody
    asked to stop, so what is to be kept is saved before it is called.
  """
  amount = f"{steps} {unit}" if members == 1 else f"{members} members x {steps} {unit}"
  started = time.monotonic()
  bar = Progress(
    SpinnerColumn(),
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.fields[done]}/{task.fields[of]} {task.fields[unit]}"),
    _Rate(),
    TimeRemainingColumn(compact=True),
    console=console,
    transient=True,
    disable=not console.is_terminal,
  )
  with bar:
    name = title if members == 1 else f"{title}, {members} members"
    task = bar.add_task(
      name, total=steps * members, unit=unit, rate_unit=unit if members == 1 else f"member-{unit}", done=0, of=steps
    )
    done = 0

    def advance(count: int) -> None:
      nonlocal done
      done += count
      bar.update(task, completed=done * members, done=done)
      stopping.check()

    yield advance
  console.print(f"{title}: {amount} in {time.monotonic() - started:.1f} s")
