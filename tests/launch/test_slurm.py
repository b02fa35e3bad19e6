import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SWEEP = ["--out", "a run", "--decays", "0.5"]
SRUN = ["srun", "--kill-on-bad-exit=0", "--gpu-bind=none", "cmd", "a b"]
REQUEUE = ["scontrol", "requeue", "7"]


def test_submitted(programs):
  flags = ["--nodes=2", "--gpus=4", "--time=8:00:00", "--venv=/nfs/venv", "--sbatch-flags=--partition=gpu --mem=64G"]
  assert programs.run("slurm.sh", *flags, "--name=run", "--", *SWEEP).returncode == 0
  assert programs.calls() == [
    [
      *("sbatch", "--job-name=run", "--nodes=2", "--ntasks-per-node=4", "--time=8:00:00", "--requeue"),
      *("--signal=TERM@120", "--open-mode=append", "--output=run-%j.log", "--gpus-per-node=4"),
      *("--partition=gpu", "--mem=64G", f"{ROOT}/launch/slurm_job.sh", "100", "env", f"LWLRD_SOURCE={ROOT}"),
      *("LWLRD_EXTRAS=cuda", "LWLRD_VENV=/nfs/venv", "LWLRD_DISTRIBUTED=1", "bash", f"{ROOT}/launch/entry.sh", *SWEEP),
    ]
  ]


def test_one_process_joins_nobody(programs):
  (call,) = programs.dry("slurm.sh", "--gpus=0", "--", *SWEEP)
  assert "--ntasks-per-node=1" in call
  assert not any(word.startswith(("--gpus", "LWLRD_DISTRIBUTED")) for word in call)
  assert "LWLRD_EXTRAS=none" in call
  (call,) = programs.dry("slurm.sh", "--gpus=0", "--nodes=2", "--", *SWEEP)
  assert "LWLRD_DISTRIBUTED=1" in call


@pytest.mark.parametrize(
  ("code", "count", "again"),
  [
    (0, "", False),
    (143, "", True),
    (75, "2", True),
    (75, "3", False),
    (2, "", False),
    (130, "", False),
    (1, "", False),
  ],
)
def test_queued_again_after_early_ends_only(programs, reply, code, count, again):
  programs.answer({"srun": [reply(code=code)]})
  counted = {"SLURM_RESTART_COUNT": count} if count else {}
  done = programs.run("slurm_job.sh", "3", "cmd", "a b", SLURM_JOB_ID="7", **counted)
  assert done.returncode == (0 if again else code)
  assert programs.calls() == [SRUN, REQUEUE] if again else [SRUN]


def test_what_is_cancelled_stays_so(programs, wait_for):
  ready = programs.add_patient("srun")
  process = programs.start("slurm_job.sh", "3", "cmd", SLURM_JOB_ID="7")
  wait_for(ready, "\n")
  process.send_signal(signal.SIGTERM)
  os.kill(int(ready.read_text()), signal.SIGTERM)
  process.communicate(timeout=30)
  assert process.returncode == -signal.SIGTERM
  assert programs.calls() == []
