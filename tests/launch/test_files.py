import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))


def test_shellcheck():
  assert SCRIPTS
  program = Path(sysconfig.get_path("scripts")) / "shellcheck"
  command = [str(program), "--external-sources", *map(str, SCRIPTS)]
  done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
  assert done.stdout == ""
  assert done.returncode == 0


@pytest.mark.parametrize("script", [x for x in SCRIPTS if x.name != "common.sh"], ids=lambda x: x.name)
def test_scripts_can_be_started(script):
  assert script.stat().st_mode & 0o111 == 0o111
  text = script.read_text()
  assert text.startswith("#!/usr/bin/env bash\n")
  assert "\nset -euo pipefail\n" in text


def test_the_runbook_has_every_launcher():
  runbook = (LAUNCH / "README.md").read_text()
  for script in SCRIPTS:
    assert script.name in runbook


def test_skypilot_has_its_recovery_by_exit_code():
  task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
  assert task["resources"] == {"job_recovery": {"max_restarts_on_errors": 0, "recover_on_exit_codes": [75, 143]}}


def test_skypilot_takes_the_file(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  sky = pytest.importorskip("sky", reason="SkyPilot is not installed")
  task = sky.Task.from_yaml(str(LAUNCH / "skypilot.yaml"))
  (resources,) = task.resources
  assert resources.job_recovery["recover_on_exit_codes"] == [75, 143]
