import json
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["--zone=z", "--project=p", "--accelerator-type=v5litepod-16", "--runtime-version=v2", "--poll=0", "--name=run"]
SWEEP = ["--", "--out", "gs://b/a run", "--decays", "0.5"]
AT = ["--zone=z", "--project=p"]
TPUS = ["gcloud", "compute", "tpus"]

CREATE = [*TPUS, "queued-resources", "create", "run", *AT, "--node-id=run"]
CREATE += ["--accelerator-type=v5litepod-16", "--runtime-version=v2"]
QUEUED = [*TPUS, "queued-resources", "describe", "run", *AT, "--format=value(state.state)"]
NODE = [*TPUS, "tpu-vm", "describe", "run", *AT, "--format=value(state)"]
DELETE = [*TPUS, "queued-resources", "delete", "run", *AT, "--force", "--quiet"]
REMOTE = (
  "rm -rf lwlrd-launch && tar -xzf lwlrd-launch.tar.gz && cd lwlrd-launch && exec env LWLRD_SOURCE=. LWLRD_EXTRAS=tpu"
  " LWLRD_DISTRIBUTED=1 LWLRD_LOCK=../lwlrd-launch.lock bash launch/entry.sh --out 'gs://b/a run' --decays 0.5"
)
SSH = [*TPUS, "tpu-vm", "ssh", "run", *AT, "--worker=all", "--ssh-flag=-oServerAliveInterval=30"]
SSH += ["--ssh-flag=-oServerAliveCountMax=6", f"--command={REMOTE}"]


@pytest.fixture
def scp(programs):
  archive = f"{programs.folder}/.cache/lwlrd_jax/launch/run/source.tar.gz"
  return [*TPUS, "tpu-vm", "scp", archive, "run:lwlrd-launch.tar.gz", *AT, "--worker=all"]


def answers(reply, queued, node, ssh):
  """Each a list of what is said in turn: states, states, exit codes."""
  return {
    "queued-resources describe": [reply(state) for state in queued],
    "tpu-vm describe": [reply(state) for state in node],
    "tpu-vm ssh": [reply(code=code) for code in ssh],
  }


def test_up(programs, reply, scp):
  waiting = ["ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
  programs.answer(answers(reply, waiting, ["CREATING", "READY"], [0]))
  create = ["--spot", "--service-account=me", "--create-flags=--reserved --x=y"]
  done = programs.run("tpu_vm.sh", "up", *FLAGS, *create, *SWEEP)
  assert done.returncode == 0
  archive = Path(scp[5])
  assert programs.calls() == [
    ["git", "-C", str(ROOT), "diff", "--quiet", "HEAD", "--"],
    ["mkdir", "-p", str(archive.parent)],
    [
      *("git", "-C", str(ROOT), "archive", "--format=tar.gz", "--prefix=lwlrd-launch/", f"--output={archive}", "HEAD"),
      *("lwlrd_jax", "launch", "sweeps", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"),
    ],
    [*CREATE, "--spot", "--service-account=me", "--reserved", "--x=y"],
    *[QUEUED] * 3,
    *[QUEUED, NODE] * 2,
    scp,
    SSH,
    DELETE,
  ]


@pytest.mark.parametrize("code", [1, 143, 255])
@pytest.mark.parametrize(
  ("queued", "node"),
  [
    (["ACTIVE", "SUSPENDED", "SUSPENDED", "ACTIVE"], ["READY"]),
    (["ACTIVE"], ["READY", "PREEMPTED", "PREEMPTED", "READY"]),  # the queued resource has not noticed yet
  ],
)
def test_preempted(programs, reply, scp, code, queued, node):
  programs.answer(answers(reply, queued, node, [code, 0]))
  done = programs.run("tpu_vm.sh", *FLAGS, *SWEEP)
  assert done.returncode == 0, done.stderr
  lost = [QUEUED, NODE] if queued == ["ACTIVE"] else [QUEUED]
  start = [QUEUED, NODE, scp, SSH]
  assert programs.calls("gcloud") == [CREATE, *start, *lost, *lost, DELETE, CREATE, *start, DELETE]
  assert "the slice is lost; starting again (1 of 50)" in done.stderr


@pytest.mark.parametrize("state", ["FAILED", "SUSPENDING"])
def test_lost_before_it_was_there(programs, reply, scp, state):
  programs.answer(answers(reply, ["ACCEPTED", state, "ACTIVE"], ["READY"], [0]))
  assert programs.run("tpu_vm.sh", *FLAGS, *SWEEP).returncode == 0
  expected = [CREATE, QUEUED, QUEUED, DELETE, CREATE, QUEUED, NODE, scp, SSH, DELETE]
  assert programs.calls("gcloud") == expected


@pytest.mark.parametrize("code", [75, 143, 255])
def test_started_again_on_the_same_slice(programs, reply, scp, code):
  programs.answer(answers(reply, ["ACTIVE"], ["READY"], [code, 0]))
  done = programs.run("tpu_vm.sh", *FLAGS, *SWEEP)
  assert done.returncode == 0
  start = [QUEUED, NODE, scp, SSH]
  assert programs.calls("gcloud") == [CREATE, *start, QUEUED, NODE, *start, DELETE]


@pytest.mark.parametrize(("code", "looks"), [(2, []), (130, []), (1, [QUEUED, NODE]), (134, [QUEUED, NODE])])
def test_mistakes_and_crashes_are_not_tried_again(programs, reply, scp, code, looks):
  programs.answer(answers(reply, ["ACTIVE"], ["READY"], [code]))
  assert programs.run("tpu_vm.sh", *FLAGS, *SWEEP).returncode == code
  assert programs.calls("gcloud") == [CREATE, QUEUED, NODE, scp, SSH, *looks, DELETE]


def test_limit_of_restarts(programs, reply, scp):
  programs.answer(answers(reply, ["ACTIVE", "SUSPENDED", "SUSPENDED", "ACTIVE"], ["READY"], [255, 143]))
  done = programs.run("tpu_vm.sh", *FLAGS, "--max-restarts=2", *SWEEP)
  assert done.returncode == 75
  assert "started again 2 times already (--max-restarts)" in done.stderr
  start = [QUEUED, NODE, scp, SSH]
  again = [*start, QUEUED, NODE]
  assert programs.calls("gcloud") == [CREATE, *start, QUEUED, QUEUED, DELETE, CREATE, *again, *again, DELETE]


def test_limit_of_waiting(programs, reply):
  programs.answer(answers(reply, ["WAITING_FOR_RESOURCES"], [], []))
  done = programs.run("tpu_vm.sh", *FLAGS, "--wait-limit=0", *SWEEP)
  assert done.returncode == 75
  assert "--wait-limit: run is not there after 0 seconds" in done.stderr
  assert programs.calls("gcloud") == [CREATE, QUEUED, DELETE]


def test_a_network_that_fails_is_waited_for(programs, reply, scp):
  down = reply(code=1)
  programs.answer(
    {
      "queued-resources describe": [reply("ACTIVE"), down, down, reply("ACTIVE")],
      "tpu-vm describe": [reply("READY"), down, reply("READY")],
      "tpu-vm ssh": [reply(code=255), reply()],
    }
  )
  assert programs.run("tpu_vm.sh", *FLAGS, *SWEEP).returncode == 0
  expected = [CREATE, QUEUED, NODE, scp, SSH, QUEUED, QUEUED, QUEUED, NODE, QUEUED, NODE, scp, SSH, DELETE]
  assert programs.calls("gcloud") == expected


def test_what_was_there_before_is_not_deleted(programs, reply):
  programs.answer({"create": [reply(code=1)]})
  done = programs.run("tpu_vm.sh", *FLAGS, *SWEEP)
  assert done.returncode == 1
  assert "run was not created" in done.stderr
  assert programs.calls("gcloud") == [CREATE]


@pytest.mark.parametrize("code", [0, 2])
def test_deleting_is_tried_again(programs, reply, scp, code):
  programs.answer(answers(reply, ["ACTIVE"], ["READY"], [code]) | {"delete": [reply(code=1), reply()]})
  assert programs.run("tpu_vm.sh", *FLAGS, *SWEEP).returncode == code
  assert programs.calls("gcloud") == [CREATE, QUEUED, NODE, scp, SSH, DELETE, DELETE]


def test_a_slice_that_stays_is_named(programs, reply):
  programs.answer(answers(reply, ["ACTIVE"], ["READY"], [0]) | {"delete": [reply(code=1)]})
  assert programs.run("tpu_vm.sh", "delete", *FLAGS).returncode == 1
  assert programs.calls() == [DELETE] * 3
  done = programs.run("tpu_vm.sh", *FLAGS, *SWEEP)
  assert "run may still be there, and cost: tpu_vm.sh delete --name run --zone=z --project=p" in done.stderr


@pytest.mark.parametrize("ending", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
@pytest.mark.parametrize("during", [CREATE, SSH], ids=["create", "ssh"])
def test_a_signal_deletes_the_slice(programs, reply, hang, wait_for, scp, ending, during):
  sent, code = ending
  long = "queued-resources create" if during == CREATE else "tpu-vm ssh"
  programs.answer(answers(reply, ["ACTIVE"], ["READY"], [0]) | {long: [hang]})
  process = programs.start("tpu_vm.sh", *FLAGS, *SWEEP)
  wait_for(programs.folder / "calls", json.dumps(during))
  process.send_signal(sent)
  process.communicate(timeout=30)
  assert process.returncode == code
  started = [QUEUED, NODE, scp, SSH] if during == SSH else []
  assert programs.calls("gcloud") == [CREATE, *started, DELETE]


def test_steps(programs, reply, scp):
  programs.answer(answers(reply, ["PROVISIONING", "ACTIVE"], ["READY"], [143, 0]))
  steps = {
    "create": [CREATE],
    "wait": [QUEUED, QUEUED, NODE],
    "run": [QUEUED, NODE, scp, SSH, QUEUED, NODE, QUEUED, NODE, scp, SSH],
    "delete": [DELETE],
  }
  expected: list[list[str]] = []
  for step, calls in steps.items():
    assert programs.run("tpu_vm.sh", step, *FLAGS, *SWEEP).returncode == 0
    expected += calls
    assert programs.calls("gcloud") == expected
