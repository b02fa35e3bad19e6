import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SWEEP = ["--", "--out", "a run", "--decays", "0.5"]
ENTRY = ["env", f"LWLRD_SOURCE={ROOT}", "LWLRD_EXTRAS=cuda", "bash", f"{ROOT}/launch/entry.sh", *SWEEP[1:]]


@pytest.mark.parametrize(
  ("codes", "last"), [([0], 0), ([75, 143, 0], 0), ([2], 2), ([130], 130), ([1], 1), ([143, 2], 2), ([75, 137], 137)]
)
def test_started_again_after_early_ends_only(programs, reply, codes, last):
  programs.answer({"env": [reply(code=code) for code in codes]})
  assert programs.run("gpu_box.sh", *SWEEP).returncode == last
  assert programs.calls() == [ENTRY] * len(codes)


def test_limit(programs, reply):
  programs.answer({"env": [reply(code=75)]})
  done = programs.run("gpu_box.sh", "--max-restarts=2", *SWEEP)
  assert done.returncode == 75
  assert "started again 2 times already" in done.stderr
  assert programs.calls() == [ENTRY] * 3


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_handed_on_and_is_the_end(programs, wait_for, sent, code):
  ready = programs.add_patient("env")
  process = programs.start("gpu_box.sh", *SWEEP)
  wait_for(ready, "\n")
  process.send_signal(sent)
  said, _ = process.communicate(timeout=30)
  assert process.returncode == code
  assert said == "saved\n"


def test_in_the_background(programs, reply, wait_for):
  programs.answer({"env": [reply("first", 75), reply("second", 0)]})
  said = programs.run("gpu_box.sh", "--log=said.txt", *SWEEP)
  assert said.returncode == 0
  log = programs.folder / "said.txt"
  wait_for(log, "second")
  assert log.read_text() == "first\ngpu_box.sh: ended with 75; starting it again (1 of 20)\nsecond\n"


def test_in_the_background_a_hangup_is_ignored_and_kill_stops_it(programs, wait_for):
  ready = programs.add_patient("env")
  said = programs.run("gpu_box.sh", "--log=said.txt", *SWEEP)
  process = int(said.stderr.split()[2])
  wait_for(ready, "\n")
  os.kill(process, signal.SIGHUP)
  os.kill(process, signal.SIGTERM)
  wait_for(programs.folder / "said.txt", "saved\n")
