import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
# All that a dry run prints is one of these; git, tar and the like too, so that nothing is sent or deleted in earnest.
CLUSTERS = ("gcloud", "kubectl", "xpk", "sbatch", "srun", "scontrol", "sky")
LOGGED = (*CLUSTERS, "git", "mkdir", "rm", "tar", "python3", "env")

STUB = """#!{python} -IS
import json, pathlib, signal, sys
folder = pathlib.Path({folder!r})
call = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
text = " ".join(call)
before = (folder / "calls").read_text().splitlines()
with (folder / "calls").open("a") as log:
  log.write(json.dumps(call) + chr(10))
for key, replies in json.loads((folder / "answers").read_text()).items():
  if key in text:
    count = sum(key in " ".join(json.loads(line)) for line in before)
    out, code = replies[min(count, len(replies) - 1)]
    if out == "hang":
      signal.pause()
    print(out)
    sys.exit(code)
"""

# A sweep that goes on until it is told to stop.
PATIENT = """#!{python} -IS
import os, pathlib, signal, sys
def stop(*_):
  print("saved", flush=True)
  sys.exit(143)
signal.signal(signal.SIGTERM, stop)
pathlib.Path({ready!r}).write_text(f"{{os.getpid()}}\\n")
while True:
  signal.pause()
"""


@pytest.fixture(scope="session", autouse=True)
def signals_that_are_heard():
  """Whoever runs tests in the background may ignore some signals; so would every shell started here, for good."""
  heard = (signal.SIGINT, signal.SIGHUP)
  before = {number: signal.getsignal(number) for number in heard}
  for number in heard:
    if before[number] is signal.SIG_IGN:
      signal.signal(number, signal.SIG_DFL)
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


class Reply(NamedTuple):
  out: str = ""
  code: int = 0


HANG = Reply("hang")


class Programs:
  """Programs on PATH that write down how they were called, and answer from a list."""

  launch = LAUNCH

  def __init__(self, folder: Path):
    self.folder = folder
    self.bin = folder / "bin"
    self.bin.mkdir()
    (folder / "calls").touch()
    for name in LOGGED:
      self.add(name, STUB.format(python=sys.executable, folder=str(folder)))
    self.add("sleep", "#!/bin/sh\n")
    self.answer({})

  def add(self, name: str, text: str) -> Path:
    (self.bin / name).write_text(text)
    (self.bin / name).chmod(0o755)
    return self.bin / name

  def add_patient(self, name: str) -> Path:
    """A program that writes "saved" and ends with 143 when it gets SIGTERM.

    Returns the file that has its number, and a newline, once it waits.
    """
    ready = self.folder / "ready"
    self.add(name, PATIENT.format(python=sys.executable, ready=str(ready)))
    return ready

  def answer(self, answers: dict[str, Sequence[Reply]]) -> None:
    """Replies, in this order, to calls that contain the key; the last one to all further calls. Others get a bare 0."""
    (self.folder / "answers").write_text(json.dumps(answers))

  def environment(self, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LWLRD_", "SLURM_", "XDG_"))}
    return kept | {"PATH": f"{self.bin}:{kept['PATH']}", "HOME": str(self.folder)} | variables

  def run(self, script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(LAUNCH / script), *words]
    env = self.environment(**variables)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60, cwd=self.folder)

  def start(self, script: str, *words: str, **variables: str) -> subprocess.Popen[str]:
    command = ["bash", str(LAUNCH / script), *words]
    env = self.environment(**variables)
    return subprocess.Popen(
      command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
    )

  def calls(self, program: str = "") -> list[list[str]]:
    lines = (self.folder / "calls").read_text().splitlines()
    return [call for call in map(json.loads, lines) if not program or call[0] == program]

  def dry(self, script: str, *words: str, **variables: str) -> list[list[str]]:
    """What a dry run prints, read as a shell reads it."""
    said = self.run(script, "--dry-run", *words, **variables)
    assert said.returncode == 0, said.stderr
    return [shlex.split(line) for line in said.stdout.splitlines()]


def wait_for(file: Path, text: str = "") -> None:
  """Waits until the text is in the file."""
  until = time.monotonic() + 30
  while not file.exists() or text not in file.read_text():
    assert time.monotonic() < until, f"no {text!r} in {file}"
    time.sleep(0.02)


@pytest.fixture(name="wait_for")
def wait_for_fixture():
  return wait_for


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
  return Programs(tmp_path)


@pytest.fixture
def reply() -> type[Reply]:
  return Reply


@pytest.fixture
def hang() -> Reply:
  return HANG


@pytest.fixture
def unpacked(programs: Programs) -> Path:
  """An archive like that of a checkout, whose entry.sh prints its words, and a machine with real tar, rm and env."""
  for name in ("mkdir", "rm", "tar", "env", "python3"):
    (programs.bin / name).unlink()
  launch = programs.folder / "lwlrd-launch" / "launch"
  launch.mkdir(parents=True)
  says = "import json, os, sys; json.dump(dict(os.environ), open('variables', 'w')); print(json.dumps(sys.argv[1:]))"
  (launch / "entry.sh").write_text(f'exec {shlex.quote(sys.executable)} -IS -c {shlex.quote(says)} "$@"\n')
  archive = programs.folder / "packed.tar.gz"
  subprocess.run(["tar", "-czf", str(archive), "lwlrd-launch"], cwd=programs.folder, check=True)
  subprocess.run(["rm", "-r", "lwlrd-launch"], cwd=programs.folder, check=True)
  return archive
