"""What all launchers have in common: flags, variables, mistakes and dry runs."""

import shlex
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
# The sweep's words, some of which a shell, ssh, YAML or Kubernetes would like to have a say in.
SWEEP = ["--out", "gs://bucket/run 1", "--decays", "0.5", "--config", 'it\'s $HOME "$(x)" \\ *', "", "--", "--zone"]
TPU = ["--zone", "z", "--accelerator-type", "v5litepod-16", "--runtime-version", "v2-alpha-tpuv5-lite"]
# Flags that suffice, by launcher.
ENOUGH = {
  "tpu_vm.sh": TPU,
  "gke.sh": ["--tpu", "tpu-v5-lite-podslice", "--topology", "4x4", "--hosts", "4"],
  "xpk.sh": ["--cluster", "c", "--tpu-type", "v5litepod-16"],
  "slurm.sh": ["--nodes", "2", "--gpus", "4"],
  "sky.sh": ["--gpus", "A100:8"],
  "gpu_box.sh": [],
}
LAUNCHERS = list(ENOUGH)


@pytest.fixture
def well(programs, reply):
  """Clusters where nothing goes wrong."""
  programs.answer(
    {
      "queued-resources describe": [reply("ACTIVE")],
      "tpu-vm describe": [reply("READY")],
      "kubectl --namespace=default get": [reply("StartupPolicyCompleted Completed")],
    }
  )
  return programs


@pytest.mark.parametrize("script", LAUNCHERS)
def test_a_dry_run_prints_what_a_real_one_then_does(well, script):
  planned = well.dry(script, *ENOUGH[script], "--", *SWEEP)
  assert well.calls() == []
  assert planned
  done = well.run(script, *ENOUGH[script], "--", *SWEEP)
  assert done.returncode == 0, done.stderr
  assert well.calls() == planned


@pytest.mark.parametrize("script", LAUNCHERS)
def test_variables_are_flags(programs, script):
  flags = dict(zip(ENOUGH[script][::2], ENOUGH[script][1::2], strict=True))
  variables = {"LWLRD_" + flag[2:].upper().replace("-", "_"): value for flag, value in flags.items()}
  by_flags = programs.dry(script, *[f"{flag}={value}" for flag, value in flags.items()], "--", *SWEEP)
  assert programs.dry(script, "--", *SWEEP, **variables) == by_flags
  assert programs.dry(script, "--", *SWEEP, **variables, LWLRD_DRY_RUN="1") == by_flags
  given = programs.dry(script, "--source=a", "--", *SWEEP, **variables, LWLRD_SOURCE="b")
  assert any("LWLRD_SOURCE=a" in word for call in given for word in call)
  assert not any("LWLRD_SOURCE=b" in word for call in given for word in call)


@pytest.mark.parametrize("script", LAUNCHERS)
def test_help_names_every_flag_and_its_variable(programs, script):
  said = programs.run(script, "--help")
  assert said.returncode == 0
  assert said.stderr == ""
  text = (LAUNCH / script).read_text()
  declared = [line.split()[1] for line in text.splitlines() if line.startswith(("option ", "switch "))]
  assert declared
  for name in [*declared, "source", "extras", "pip", "venv", "dry-run"]:
    assert f"  --{name} " in said.stdout
    assert "$LWLRD_" + name.upper().replace("-", "_") in said.stdout
  assert programs.calls() == []


@pytest.mark.parametrize("script", LAUNCHERS)
@pytest.mark.parametrize(
  ("words", "named"),
  [
    (["--zome", "z"], "--zome"),
    (["--source"], "--source"),
    (["--source", "--pip", "x"], "--source"),
    (["--dry-run=yes"], "--dry-run"),
    (["stray"], "stray"),
    (["--OPT[0]", "x"], "--OPT[0]"),
    ([], "--out"),
    (["--", "--decays", "0.5"], "--out"),
    (["--", "--out"], "--out"),
    (["--", "--out=/a", "a\nb"], "a word after -- has a line break; not every launcher can hand that on\n"),
  ],
)
def test_a_mistake_is_one_line_that_names_the_word(programs, script, words, named):
  said = programs.run(script, *ENOUGH[script], *words)
  assert said.returncode == 2
  assert said.stdout == ""
  assert said.stderr.startswith(f"{script}: {named}")
  assert said.stderr.count("\n") == 1
  assert programs.calls() == []


@pytest.mark.parametrize(
  ("script", "without"),
  [(x, flag) for x in ENOUGH if x != "slurm.sh" for flag in ENOUGH[x][::2] if flag != "--hosts"],
)
def test_what_is_needed(programs, script, without):
  at = ENOUGH[script].index(without)
  said = programs.run(script, *ENOUGH[script][:at], *ENOUGH[script][at + 2 :], "--", *SWEEP)
  assert said.returncode == 2
  assert said.stderr.startswith(f"{script}: {without}: missing; ")
  assert programs.calls() == []


@pytest.mark.parametrize("script", ["tpu_vm.sh", "gke.sh", "xpk.sh", "sky.sh"])
@pytest.mark.parametrize("out", ["runs/a", "gs://", "s3://bucket/a"])
def test_a_run_that_only_one_machine_sees_is_refused(programs, script, out):
  said = programs.run(script, *ENOUGH[script], "--", f"--out={out}")
  assert said.returncode == 2
  assert said.stderr.startswith(f"{script}: --out: '{out}' is on one machine; allowed: ")
  assert programs.dry(script, *ENOUGH[script], "--", "--out=/mnt/disk/a")


@pytest.mark.parametrize("script", [x for x in LAUNCHERS if x != "gpu_box.sh"])
@pytest.mark.parametrize("name", ["A", "a_b", "a-", "1a", "a" * 41, "a;b"])
def test_names(programs, script, name):
  said = programs.run(script, *ENOUGH[script], "--name", name, "--", *SWEEP)
  assert said.returncode == 2
  assert said.stderr.startswith(f"{script}: --name: '{name}'; allowed: ")


@pytest.mark.parametrize("script", LAUNCHERS)
@pytest.mark.parametrize("number", ["many", "-1", "08", "1.5", "1" * 10])
def test_whole_numbers(programs, script, number):
  flag = "--num-nodes" if script == "sky.sh" else "--max-restarts"
  said = programs.run(script, *ENOUGH[script], flag, number, "--", *SWEEP)
  assert said.returncode == 2
  assert said.stderr == f"{script}: {flag}: '{number}' is not a whole number\n"


def test_switches_by_variable(programs):
  assert "--spot" in programs.dry("tpu_vm.sh", *TPU, "--", *SWEEP, LWLRD_SPOT="1")[3]
  assert "--spot" not in programs.dry("tpu_vm.sh", *TPU, "--", *SWEEP, LWLRD_SPOT="0")[3]
  said = programs.run("tpu_vm.sh", *TPU, "--", *SWEEP, LWLRD_SPOT="yes")
  assert (said.returncode, said.stderr) == (2, "tpu_vm.sh: $LWLRD_SPOT: 'yes' is neither 1 nor 0\n")


@pytest.mark.parametrize("script", ["tpu_vm.sh", "gke.sh", "xpk.sh"])
def test_what_is_not_committed_is_not_left_behind_silently(programs, reply, script):
  programs.answer({"diff --quiet": [reply(code=1)]})
  said = programs.run(script, *ENOUGH[script], "--", *SWEEP)
  assert said.returncode == 2
  assert "uncommitted changes" in said.stderr
  assert [call[3] for call in programs.calls()] == ["diff"]


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("words", [SWEEP, ["a\nb", "''", "'", "~", "#", "a;b|c&d"]])
def test_quoted_words_come_back(shell, words):
  def script(text, *arguments):
    command = ["bash", "-c", f'source "{LAUNCH}/common.sh"; {text}', "x", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

  line = script('quoted "$@"', *words)
  assert shlex.split(line) == words
  printed = subprocess.run([shell, "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True).stdout
  assert printed.split("\0")[:-1] == words
