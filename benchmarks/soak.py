"""Whether a sweep that is killed again and again ends with the table of one that is left alone.

    python -m benchmarks.soak --members 200 --kills 20

A sweep of small waves against both attacks is run once undisturbed. The same is started again, killed with SIGKILL at
random moments, and started with the same command each time, until it is through. The tables have to be equal in every
cell but `seconds`; and rows that were there at a kill have to be there to the last bit in the end, `seconds` too: their
members were not computed again.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

_COMMAND = (
  *(sys.executable, "-m", "lwlrd_jax.sweep", "--dataset", "npz", "--attacks", "transpose,dec", "--codec", "webp"),
  *("--stolen", "8", "--infect-steps", "40", "--no-baselines", "--epochs", "20", "--batch-size", "32"),
)


def main() -> int:
  """Prints what happened at each kill, and the verdict.

  Returns:
    The exit code: 1 if the tables differ.
  """
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--members", type=int, default=200, help="fine-tuned members, of both attacks together")
  parser.add_argument("--kills", type=int, default=20)
  parser.add_argument("--wave", type=int, default=8, help="members a wave")
  parser.add_argument("--snapshot-minutes", default="10", help="0: unfinished members are kept after every call")
  parser.add_argument("--seed", type=int, default=0, help="of the moments")
  asked = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    command = [*_COMMAND, "--npz", str(_images(Path(folder) / "small.npz"))]
    command += ["--decays", f"0.01:1:{asked.members // 2}", "--members-per-wave", str(asked.wave)]
    command += ["--snapshot-minutes", asked.snapshot_minutes]
    return _soak(Path(folder), command, asked.kills, random.Random(asked.seed))


def _soak(folder: Path, command: list[str], kills: int, moments: random.Random) -> int:
  environment = {**os.environ, "LWLRD_JAX_CACHE": str(folder / "cache")}
  began = time.monotonic()
  subprocess.run([*command, "--out", str(folder / "left_alone")], env=environment, check=True, capture_output=True)
  seconds = time.monotonic() - began
  print(f"left alone: {seconds:.0f} s", flush=True)

  out = folder / "killed"
  seen: list[pd.DataFrame] = []
  for kill in range(1, kills + 1):
    # Two thirds of the undisturbed time in all, beside what each start takes: the last kills must find it running.
    moment = moments.uniform(0, 2 * (4 + 2 / 3 * seconds / kills))
    process = subprocess.Popen(
      [*command, "--out", str(out), "--restartable"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
      process.wait(moment)
      print(f"through before kill {kill}: start with fewer --kills or more --members")
      return 1
    except subprocess.TimeoutExpired:
      process.send_signal(signal.SIGKILL)
      process.wait()
    table = out / "results.parquet"
    seen.append(pd.read_parquet(table) if table.exists() else pd.DataFrame({"member": []}))
    print(f"kill {kill} after {moment:.1f} s: {len(seen[-1])} rows", flush=True)
  subprocess.run([*command, "--out", str(out), "--restartable"], env=environment, check=True, capture_output=True)

  whole, resumed = (pd.read_parquet(folder / run / "results.parquet") for run in ("left_alone", "killed"))
  pd.testing.assert_frame_equal(whole.drop(columns="seconds"), resumed.drop(columns="seconds"), check_exact=True)
  for before in seen:
    kept = resumed[resumed.member.isin(before.member)].set_index("member")
    pd.testing.assert_frame_equal(kept, before.set_index("member").loc[kept.index].astype(kept.dtypes))
  tuned = int(resumed.lr_max.notna().sum())
  print(f"{tuned} members, {len(resumed)} rows, {kills} kills: the same table, and no finished row was made again")
  return 0


def _images(file: Path) -> Path:
  """Three classes of smooth pictures of 12 x 12 pixels, in MedMNIST's form."""
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in (("train", 96), ("val", 30), ("test", 30)):
    labels = np.arange(count) % 3
    coarse = rng.uniform(0, 160, (count, 4, 4, 1)) + 30 * labels[:, None, None, None]
    arrays[f"{split}_images"] = np.kron(coarse, np.ones((1, 3, 3, 1))).astype(np.uint8)
    arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
  np.savez(file, **arrays)  # type: ignore[arg-type]
  return file


if __name__ == "__main__":
  sys.exit(main())
