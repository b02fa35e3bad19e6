"""What other programs hand to a shell on the far side starts the sweep there, with its words as they were given."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"
SWEEP = ["--out", "gs://b/a run", "--config", 'it\'s $HOME $(A) \\ "x" *', "a  b", "--", "", "&&"]


def flag(call, name):
  (value,) = [word.removeprefix(name) for word in call if word.startswith(name)]
  return value


def test_tpu_vm(programs, unpacked):
  flags = ["--zone=z", "--accelerator-type=a", "--runtime-version=r"]
  calls = programs.dry("tpu_vm.sh", *flags, "--", *SWEEP)
  (ssh,) = [call for call in calls if "ssh" in call]
  unpacked.rename(programs.folder / "lwlrd-launch.tar.gz")
  # gcloud takes the command apart at every space, and ssh puts it together again.
  command = " ".join(flag(ssh, "--command=").split(" "))
  said = subprocess.run(["bash", "-c", command], cwd=programs.folder, capture_output=True, text=True, check=True)
  assert json.loads(said.stdout) == SWEEP


def test_xpk(programs, unpacked):
  calls = programs.dry("xpk.sh", "--cluster=c", "--tpu-type=t", "--", *SWEEP)
  (create,) = [call for call in calls if "create" in call]
  subprocess.run(["tar", "-xzf", str(unpacked)], cwd=programs.folder, check=True)
  # As XPK has it in a container.
  text = f"({flag(create, '--command=')}) & PID=$!; wait $PID"
  folder = programs.folder / "lwlrd-launch"
  said = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, text=True, check=True).stdout
  assert json.loads(said) == SWEEP


@pytest.mark.parametrize(
  ("nodes", "known"), [("1", [None, None, None]), ("3", ["10.0.0.1:8476", "3", "2"])], ids=["one", "three"]
)
def test_skypilot(programs, unpacked, nodes, known):
  (call,) = programs.dry("sky.sh", "--gpus=A100:8", "--", *SWEEP)
  sent = flag(call, "--env=LWLRD_SWEEP=")
  subprocess.run(["tar", "-xzf", str(unpacked)], cwd=programs.folder, check=True)
  ips = "\n".join(f"10.0.0.{i + 1}" for i in range(int(nodes)))
  env = {"SKYPILOT_NUM_NODES": nodes, "SKYPILOT_NODE_IPS": ips, "SKYPILOT_NODE_RANK": str(int(nodes) - 1)}
  text = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())["run"]
  folder, env = programs.folder / "lwlrd-launch", programs.environment(LWLRD_SWEEP=sent, **env)
  said = subprocess.run(["bash", "-c", text], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout
  assert json.loads(said) == SWEEP
  variables = json.loads((folder / "variables").read_text())
  assert [variables.get(f"LWLRD_{name}") for name in ("COORDINATOR", "PROCESSES", "PROCESS_ID")] == known


def test_sky_calls(programs):
  flags = ["--gpus=A100:8", "--infra=gcp/us-central1", "--num-nodes=2", "--detach", "--name=run", "--pip=a b"]
  programs.run("sky.sh", *flags, "--", "--out", "/mnt/a")
  programs.run("sky.sh", "--gpus=A100:8", "--on-demand", "--name=run", "--", "--out", "/mnt/a")
  programs.run("sky.sh", "delete", "--name=run")
  launch = ["sky", "jobs", "launch", "--name=run", "--yes"]
  machines = [f"--workdir={LAUNCH.parent}", "--gpus=A100:8"]
  env = ["--env=LWLRD_SOURCE=.", "--env=LWLRD_EXTRAS=cuda"]
  sweep = ["--env=LWLRD_SWEEP=--out /mnt/a", f"{LAUNCH}/skypilot.yaml"]
  more = ["--infra=gcp/us-central1", "--num-nodes=2", "--use-spot"]
  assert programs.calls() == [
    [*launch, "--detach-run", *machines, *more, *env, "--env=LWLRD_PIP=a b", *sweep],
    [*launch, *machines, "--num-nodes=1", "--no-use-spot", *env, *sweep],
    ["sky", "jobs", "cancel", "--name=run", "--yes"],
  ]


def test_xpk_calls(programs):
  flags = ["--cluster=c", "--zone=z", "--project=p", "--name=run"]
  create = ["--tpu-type=t", "--spot", "--image=i", "--max-restarts=3", "--create-flags=--priority=high --quiet"]
  stage = f"{programs.folder}/.cache/lwlrd_jax/launch/run"
  at = ["--cluster=c", "--zone=z", "--project=p"]
  script = "exec env LWLRD_SOURCE=. LWLRD_EXTRAS=tpu LWLRD_DISTRIBUTED=1 bash launch/entry.sh --out /mnt/a"
  expected = {
    "submit": [
      *("xpk", "workload", "create", "--workload=run", *at, "--tpu-type=t", "--spot", "--base-docker-image=i"),
      *(f"--script-dir={stage}/lwlrd-launch", "--max-restarts=3", "--restart-on-exit-codes=75"),
      *("--termination-grace-period-seconds=120", "--priority=high", "--quiet", f"--command={script}"),
    ],
    "wait": ["xpk", "workload", "list", *at, "--wait-for-job-completion=run"],
    "delete": ["xpk", "workload", "delete", "--workload=run", *at, "--force"],
  }
  for step in expected:
    assert programs.run("xpk.sh", step, *flags, *create, "--", "--out", "/mnt/a").returncode == 0
  assert programs.calls("xpk") == list(expected.values())


def test_xpk_that_failed_is_kept(programs, reply):
  programs.answer({"workload list": [reply(code=125)]})
  assert programs.run("xpk.sh", "--cluster=c", "--tpu-type=t", "--", "--out", "/mnt/a").returncode == 125
  assert [call[2] for call in programs.calls("xpk")] == ["create", "list"]
