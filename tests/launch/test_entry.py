"""entry.sh with a Python that writes down what it is asked, makes environments of itself, and installs nothing."""

import signal
import subprocess
import sys

import pytest

FAKE = """#!{python} -IS
import json, pathlib, shutil, sys
folder = pathlib.Path({folder!r})
me, words = pathlib.Path(sys.argv[0]), sys.argv[1:]
with (folder / "calls").open("a") as log:
  log.write(json.dumps([str(me.relative_to(folder)), *words]) + chr(10))
if words[0] == "-c":
  sys.exit((folder / "old").exists())
made = {{"venv": "bin/python", "--target": "bin/uv"}}
for word, program in made.items():
  if word in words:
    target = pathlib.Path(words[words.index("--target") + 1] if word == "--target" else words[-1]) / program
    target.parent.mkdir(parents=True)
    shutil.copy(me, target)
if words[:3] == ["-m", "pip", "install"] and (folder / "offline").exists():
  sys.exit(2)
"""
SWEEP = ["--out", "a run", "--decays", "0.5"]


@pytest.fixture
def box(programs):
  """A machine with a checkout, and with Python as above."""
  for name in ("mkdir", "rm", "env", "tar"):
    (programs.bin / name).unlink()
  programs.add("python3", FAKE.format(python=sys.executable, folder=str(programs.folder)))
  (programs.folder / "src").mkdir()
  for name in ("pyproject.toml", "constraints.txt"):
    (programs.folder / "src" / name).write_text("1\n")
  return programs


def start(box, *words, **variables):
  """What was called, and that it went well."""
  (box.folder / "calls").write_text("")
  done = box.run("entry.sh", *words, **variables)
  assert done.returncode == 0, done.stderr
  return box.calls()


def sweep(python, *words):
  return [python, "-m", "lwlrd_jax.sweep", *words]


VENV = ".cache/lwlrd_jax/venv"
CHECK = ["bin/python3", "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"]
STARTED = sweep(f"{VENV}/bin/python", "--restartable", *SWEEP)


def pip_install(*words):
  return [f"{VENV}/bin/python", "-m", "pip", "install", "--quiet", *words]


def test_installs_once(box):
  settings = {"LWLRD_SOURCE": str(box.folder / "src"), "LWLRD_EXTRAS": "cuda"}
  constraints = ["--constraint", f"{box.folder}/src/constraints.txt", "--editable"]
  installed = pip_install(*constraints, f"{box.folder}/src[cuda]")
  made = ["bin/python3", "-m", "venv", f"{box.folder}/{VENV}"]
  assert start(box, *SWEEP, **settings) == [CHECK, made, installed, STARTED]
  assert start(box, *SWEEP, **settings) == [STARTED]
  assert start(box, *SWEEP, **settings, LWLRD_PIP="a b>=1") == [pip_install(*installed[5:], "a", "b>=1"), STARTED]
  assert start(box, *SWEEP, **settings) == [installed, STARTED]
  (box.folder / "src" / "pyproject.toml").write_text("2\n")
  assert start(box, *SWEEP, **settings) == [installed, STARTED]
  settings["LWLRD_EXTRAS"] = "none"
  assert start(box, *SWEEP, **settings) == [pip_install(*constraints, f"{box.folder}/src"), STARTED]


def test_an_installation_that_failed_is_tried_again(box):
  (box.folder / "offline").touch()
  assert box.run("entry.sh", *SWEEP, LWLRD_SOURCE="lwlrd-jax==1").returncode == 1
  (box.folder / "offline").unlink()
  assert start(box, *SWEEP, LWLRD_SOURCE="lwlrd-jax==1") == [pip_install("lwlrd-jax==1"), STARTED]


def test_tasks_that_start_at_once_install_once(box):
  command = ["bash", str(box.launch / "entry.sh"), *SWEEP]
  env = box.environment(LWLRD_SOURCE="lwlrd-jax")
  for process in [subprocess.Popen(command, env=env) for _ in range(4)]:
    assert process.wait(timeout=60) == 0
  calls = box.calls()
  assert calls.count(pip_install("lwlrd-jax")) == 1
  assert calls.count(STARTED) == 4


def test_an_old_python_gets_a_newer_one(box):
  (box.folder / "old").touch()
  venv = f"{box.folder}/{VENV}"
  assert start(box, *SWEEP, LWLRD_SOURCE="lwlrd-jax[tpu]") == [
    CHECK,
    ["bin/python3", "-m", "pip", "install", "--quiet", "--target", f"{venv}.uv", "uv"],
    [f"{VENV}.uv/bin/uv", "venv", "--quiet", "--seed", "--python", "3.12", venv],
    pip_install("lwlrd-jax[tpu]"),
    STARTED,
  ]


def test_nothing_to_install(box):
  assert start(box, *SWEEP) == [sweep("bin/python3", "--restartable", *SWEEP)]
  other = box.add("other", (box.bin / "python3").read_text())
  assert start(box, *SWEEP, LWLRD_PYTHON=str(other)) == [sweep("bin/other", "--restartable", *SWEEP)]
  box.add("python", other.read_text())
  own = start(box, *SWEEP, LWLRD_SOURCE="none", LWLRD_VENV=str(box.folder))
  assert own == [sweep("bin/python", "--restartable", *SWEEP)]


@pytest.mark.parametrize("out", [["--out=gs://b/a"], ["--out", "gs://b/a"]])
def test_buckets_need_gcsfs(box, out):
  assert start(box, *out, LWLRD_SOURCE="lwlrd-jax")[2:] == [
    pip_install("lwlrd-jax", "gcsfs"),
    sweep(f"{VENV}/bin/python", "--restartable", *out),
  ]


def test_processes(box):
  explicit = {"LWLRD_COORDINATOR": "h:1", "LWLRD_PROCESSES": "4", "LWLRD_PROCESS_ID": "3"}
  words = ["--restartable", "--coordinator", "h:1", "--processes", "4", "--process-id", "3"]
  assert start(box, *SWEEP, **explicit) == [sweep("bin/python3", *words, *SWEEP)]
  assert start(box, *SWEEP, LWLRD_DISTRIBUTED="1") == [sweep("bin/python3", "--restartable", "--distributed", *SWEEP)]


def test_signals_reach_python(box, wait_for):
  ready = box.add_patient("python3")
  process = box.start("entry.sh", *SWEEP)
  wait_for(ready, "\n")
  assert int(ready.read_text()) == process.pid
  process.send_signal(signal.SIGTERM)
  said, _ = process.communicate(timeout=30)
  assert (process.returncode, said) == (143, "saved\n")


def test_one_that_a_broken_connection_left_is_stopped_first(box, wait_for):
  lock = box.folder / "lock"
  ready = box.add_patient("patient")
  left = box.start("entry.sh", *SWEEP, LWLRD_LOCK=str(lock), LWLRD_PYTHON="patient")
  wait_for(ready, "\n")
  assert start(box, *SWEEP, LWLRD_LOCK=str(lock)) == [sweep("bin/python3", "--restartable", *SWEEP)]
  said, _ = left.communicate(timeout=30)
  assert (left.returncode, said) == (143, "saved\n")
  assert start(box, *SWEEP, LWLRD_LOCK=str(lock)) == [sweep("bin/python3", "--restartable", *SWEEP)]
