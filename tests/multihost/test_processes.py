"""What two processes say to each other, without a sweep around it: all that is used of JAX's coordination service."""

import json

import pytest

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from lwlrd_jax import stopping
from lwlrd_jax.team import join
from lwlrd_jax.disk import orbax_process
from lwlrd_jax.disk.checkpoints import load_tree, save_tree

folder, coordinator, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
team = join(distributed=False, coordinator=coordinator, processes=2, process_id=number, join_timeout=300)
orbax_process.begin()
made = team.from_first("arrays", lambda: {"long": np.arange(400_000, dtype=np.float32), "in": {"n": np.float32(3)}})
said = team.within("a part").say("a text", lambda: f"by {team.index}")
with team.first_goes_first("a file"):
  if team.is_first:
    (folder / "file").write_text("")
  there = (folder / "file").exists()
orbax_process.call(save_tree, folder / f"tree{number}", {"params": {"w": made["long"][-2:] + number}})
team.wait("both have saved")
other = orbax_process.call(load_tree, folder / f"tree{1 - number}")["params"]["w"].tolist()
found = {"count": team.count, "index": team.index, "said": said, "there": there, "other": other}
print(json.dumps({**found, "long": float(made["long"].sum()), "n": float(made["in"]["n"])}), flush=True)
if number == 1:
  stopping.request("a test", 143)
try:
  team.wait("the other, who does not come" if number else "the one who stops")
except stopping.Stopped as stop:
  print(f"stopped after {stop}", flush=True)
  sys.exit(stop.code)
"""


@pytest.mark.newest
def test_what_they_say_arrives(sweep, port, tmp_path):
  both = [sweep(str(tmp_path), f"127.0.0.1:{port}", str(i), script=SCRIPT) for i in range(2)]
  said = [process.communicate(timeout=300)[0] for process in both]
  assert [process.returncode for process in both] == [143, 143], said
  long = [399_998.0, 399_999.0]  # from the second of its chunks
  for number, text in enumerate(said):
    lines = [line for line in text.splitlines() if line.startswith(("{", "stopped"))]
    assert json.loads(lines[0]) == {
      **{"count": 2, "index": number, "said": "by 0", "there": True, "n": 3.0},
      **{"other": [value + 1 - number for value in long], "long": pytest.approx(400_000 * 399_999 / 2, rel=1e-5)},
    }
    assert lines[1:] == ["stopped after a test"]
