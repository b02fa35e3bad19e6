import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kubeflow_trainer_api.models import JobsetV1alpha2JobSet

ROOT = Path(__file__).parents[2]
FLAGS = ["--tpu=tpu-v5-lite-podslice", "--topology=4x4", "--hosts=4", "--name=run", "--poll=0", "--context=c"]
SWEEP = ["--out", "gs://b/a run", "--config", 'it\'s $HOME $(A) $$ "x": {y}', "--", ""]
KUBECTL = ["kubectl", "--context=c", "--namespace=default"]
CONDITIONS = [*KUBECTL, "get", "jobset", "run", '--output=jsonpath={.status.conditions[?(@.status=="True")].type}']
REASON = [*KUBECTL, "get", "jobset", "run", '--output=jsonpath={.status.conditions[?(@.type=="Failed")].reason}']
LOGS = [*KUBECTL, "logs", "--selector=jobset.sigs.k8s.io/jobset-name=run", "--tail=5", "--prefix"]
DELETE = [[*KUBECTL, "delete", kind, "run", "--ignore-not-found"] for kind in ("jobset", "configmap")]


def submitted(programs):
  stage = f"{programs.folder}/.cache/lwlrd_jax/launch/run"
  return [
    [*KUBECTL, "create", "configmap", "run", f"--from-file=source.tar.gz={stage}/source.tar.gz"],
    [*KUBECTL, "apply", f"--filename={stage}/jobset.yaml"],
  ]


def container_of(manifest):
  (container,) = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
  return container


def rendered(programs, *flags):
  """The manifest that gke.sh would apply."""
  (command,) = [call for call in programs.dry("gke.sh", *flags, "--name=run", "--", *SWEEP) if call[0] == "python3"]
  output = programs.folder / "jobset.yaml"
  at = next(i for i, word in enumerate(command) if word.startswith("--output="))
  command = [sys.executable, *command[1:at], f"--output={output}", *command[at + 1 :]]
  subprocess.run(command, check=True, timeout=60)
  return yaml.safe_load(output.read_text())


def test_up(programs, reply):
  programs.answer({"get jobset": [reply(), reply(code=1), reply("StartupPolicyInProgress"), reply("A Completed")]})
  assert programs.run("gke.sh", *FLAGS, "--", *SWEEP).returncode == 0
  assert programs.calls("kubectl") == [*submitted(programs), *[CONDITIONS] * 4, *DELETE]


@pytest.mark.parametrize(("reason", "code"), [("FailJobSetFailurePolicyAction", 2), ("ReachedMaxRestarts", 1)])
def test_failed(programs, reply, reason, code):
  programs.answer({'?(@.type=="Failed")': [reply(reason)], "get jobset": [reply(), reply("Failed")]})
  done = programs.run("gke.sh", *FLAGS, "--", *SWEEP)
  assert done.returncode == code
  assert f"run failed ({reason})" in done.stderr
  assert programs.calls("kubectl") == [*submitted(programs), CONDITIONS, CONDITIONS, REASON, LOGS]


def test_no_answer(programs, reply):
  programs.answer({"get jobset": [reply(code=1)]})
  assert programs.run("gke.sh", "wait", *FLAGS).returncode == 1
  assert programs.calls() == [CONDITIONS] * 10


def test_one_of_that_name_is_left_alone(programs, reply):
  programs.answer({"create configmap": [reply(code=1)]})
  assert programs.run("gke.sh", *FLAGS, "--", *SWEEP).returncode == 1
  assert programs.calls("kubectl") == submitted(programs)[:1]


def test_ctrl_c_ends_the_waiting_only(programs, wait_for):
  programs.add("sleep", f"#!/bin/sh\ntouch {programs.folder}/asleep\nread line < {programs.folder}/never\n")
  subprocess.run(["mkfifo", str(programs.folder / "never")], check=True)
  process = programs.start("gke.sh", "wait", *FLAGS)
  wait_for(programs.folder / "asleep")
  process.send_signal(signal.SIGINT)
  _, said = process.communicate(timeout=30)
  assert process.returncode == 130
  assert "run stays in the cluster as it is" in said
  assert programs.calls() == [CONDITIONS]


def test_steps(programs, reply):
  programs.answer({"get jobset": [reply("Completed")]})
  expected: list[list[str]] = []
  for step, calls in {"submit": submitted(programs), "wait": [CONDITIONS], "delete": DELETE}.items():
    assert programs.run("gke.sh", step, *FLAGS, "--", *SWEEP).returncode == 0
    expected += calls
    assert programs.calls("kubectl") == expected


@pytest.mark.parametrize("flags", [["--tpu=a", "--gpu=b", "--topology=c"], ["--tpu=a"]])
def test_mistakes(programs, flags):
  said = programs.run("gke.sh", *flags, "--", *SWEEP)
  assert said.returncode == 2
  assert said.stderr.count("\n") == 1


TPU = FLAGS[:3]
GPU = ["--gpu=nvidia-h100-80gb", "--hosts=2", "--chips=8", "--spot", "--service-account=writer", "--image=i:1"]
KINDS = [TPU, GPU, [*TPU[:2], "--hosts=1"], [*TPU, "--spot"]]


@pytest.mark.parametrize("flags", KINDS)
def test_a_manifest_is_what_jobset_and_kubernetes_take(programs, flags):
  manifest = rendered(programs, *flags)
  # What the models do not know, they leave out.
  assert JobsetV1alpha2JobSet.from_dict(manifest).to_dict() == manifest


@pytest.mark.parametrize(
  ("right", "wrong"),
  [
    ('"maxRestarts"', '"maxRestart"'),
    ('"podFailurePolicy"', '"podPolicy"'),
    ('"maxRestarts": 20', '"maxRestarts": "20"'),
  ],
)
def test_that_check_finds_what_is_misspelt(programs, right, wrong):
  text = json.dumps(rendered(programs, *TPU))
  manifest = json.loads(text.replace(right, wrong))
  try:
    again = JobsetV1alpha2JobSet.from_dict(manifest).to_dict()
  except ValueError:
    return  # of another type
  assert again != manifest


def test_the_template_is_yaml_as_it_is():
  template = yaml.safe_load((ROOT / "launch" / "gke" / "jobset.yaml").read_text())
  assert template["metadata"]["name"] == "${name}"


def test_tpu_slice(programs):
  manifest = rendered(programs, *TPU)
  job = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
  pod = job["template"]["spec"]
  assert (job["parallelism"], job["completions"], job["completionMode"]) == (4, 4, "Indexed")
  assert pod["nodeSelector"] == {
    "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
    "cloud.google.com/gke-tpu-topology": "4x4",
  }
  assert pod["tolerations"] == []
  container = pod["containers"][0]
  assert container["resources"] == {"limits": {"google.com/tpu": "4"}}
  settings = {"LWLRD_SOURCE": ".", "LWLRD_EXTRAS": "tpu", "LWLRD_DISTRIBUTED": "1"}
  assert container["env"] == [{"name": name, "value": value} for name, value in settings.items()]


def test_gpu_nodes(programs):
  pod = rendered(programs, *GPU)["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
  spot = "cloud.google.com/gke-spot"
  assert pod["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb", spot: "true"}
  assert pod["tolerations"] == [{"key": spot, "operator": "Equal", "value": "true", "effect": "NoSchedule"}]
  assert pod["serviceAccountName"] == "writer"
  container = pod["containers"][0]
  assert container["image"] == "i:1"
  assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
  env = {x["name"]: x.get("value") for x in container["env"]}
  assert env == {
    "LWLRD_SOURCE": ".",
    "LWLRD_EXTRAS": "cuda",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",
    "LWLRD_COORDINATOR": "run-sweep-0-0.run:8476",
    "LWLRD_PROCESSES": "2",
    "LWLRD_PROCESS_ID": None,
  }


def test_what_becomes_of_exit_codes(programs):
  spec = rendered(programs, *TPU)["spec"]
  job = spec["replicatedJobs"][0]["template"]["spec"]
  codes = {
    code: rule["action"]
    for rule in job["podFailurePolicy"]["rules"]
    for code in rule.get("onExitCodes", {"values": []})["values"]
  }
  assert codes == {2: "FailJob", 75: "Ignore", 143: "Ignore"}
  assert job["backoffLimit"] == 0
  assert spec["failurePolicy"]["maxRestarts"] == 20
  (rule,) = spec["failurePolicy"]["rules"]
  assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy", "DeadlineExceeded"])


def test_the_container_starts_the_sweep_with_its_words(programs, unpacked):
  container = rendered(programs, *TPU)["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"][
    "containers"
  ][0]
  command = [word.replace("/launch/source.tar.gz", str(unpacked)) for word in container["command"]]
  # Kubernetes makes one dollar of two, in both.
  words = [word.replace("$$", "$") for word in container["args"]]
  said = subprocess.run([*command, *words], cwd=programs.folder, capture_output=True, text=True, check=True).stdout
  assert json.loads(said) == SWEEP
