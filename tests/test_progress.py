"""What is seen while waiting, by whoever is there to see it."""

import io
import os

import pytest

from lwlrd_jax import stopping
from lwlrd_jax.watch import progress
from lwlrd_jax.watch.progress import PlainConsole, phase


class Pipe(io.StringIO):
  """A stream that nobody reads any more."""

  def write(self, text):
    raise BrokenPipeError


@pytest.fixture
def console(monkeypatch):
  """Puts another console in place of the program's."""

  def put(**options):
    made = progress._LoggedConsole(highlight=False, **options)
    monkeypatch.setattr(progress, "console", made)
    return made

  return put


def drawn(console, **options):
  """What comes out while some work goes on."""
  encoding = options.pop("encoding", "utf-8")
  out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
  console(file=out, force_terminal=True, **options)
  with phase("training", 2) as advance:
    advance(1)
    advance(1)
  out.flush()
  return out.buffer.getvalue().decode()


def test_a_bar_on_a_terminal(console):
  said = drawn(console, width=80, _environ={"TERM": "xterm"})
  assert "\x1b[" in said
  assert "training: 2 steps in " in said


@pytest.mark.parametrize(
  "options",
  [
    {"width": 20, "_environ": {"TERM": "xterm"}},
    {"width": 80, "_environ": {"TERM": "dumb"}},
    {"width": 80, "_environ": {"TERM": "xterm"}, "encoding": "latin-1"},
    {"width": 80, "_environ": {"TERM": "xterm"}, "encoding": "ascii"},
  ],
)
def test_lines_alone_where_a_bar_cannot_be_seen(console, options):
  said = drawn(console, **options)
  assert said.isascii()
  assert "\x1b" not in said
  assert " ".join(said.split()).startswith("training: 2 steps in ")


def test_a_run_whose_messages_nobody_reads_is_asked_to_stop(console):
  console(file=Pipe())
  with stopping.signals():
    progress.console.print("a message")
    with phase("training", 2) as advance, pytest.raises(stopping.Stopped) as stop:
      advance(1)
    assert stop.value.code == 141
    progress.console.print("no error either")
  assert not stopping.requested()


def test_what_is_printed_to_nobody_fails_as_print_does():
  reader, writer = os.pipe()
  os.close(reader)
  with pytest.raises(BrokenPipeError), open(writer, "w", encoding="utf-8") as out:
    PlainConsole(file=out).print("a table")
