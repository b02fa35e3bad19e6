"""How fast a population is fine-tuned: this engine beside what one would write instead, in one run.

    python -m benchmarks.population --models mlp,cnn --members 9 --json FILE --plot FILE

Engines: `lwlrd_jax`, this package; `lwlrd_jax-other`, the same with the strategy it did not choose; `jax-loop`, a plain
loop over members and compiled steps; `torch-loop`, a loop over members with a parameter group a layer; `torch-compile`,
the same compiled; `torch-func`, an ensemble stacked by `torch.func`. All get the same weights, images, batches, rates
and Adam, and have to agree on the first losses before they are timed. Engines of PyTorch need `pip install torch`;
nothing else here does.

Rounds are taken in turns, so that all engines see the same machine; times are medians. `flops_per_s` counts the forward
pass three times; `compile_s` is how much longer the first round
took; `peak_share` is that over what one large matrix product in float32 reaches here. `peak_bytes` is what
the device held at most, where JAX or PyTorch can say.
"""

import dataclasses
import importlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from benchmarks.problem import Engine, Problem, Shape, make_problem
from lwlrd_jax.cli import parse_command_line, run_main
from lwlrd_jax.models.cost import training_flops
from lwlrd_jax.watch.progress import console

ENGINES = {
  "lwlrd_jax": ("benchmarks.jax_engines", "ours"),
  "lwlrd_jax-other": ("benchmarks.jax_engines", "ours_otherwise"),
  "jax-loop": ("benchmarks.jax_engines", "plain_loop"),
  "torch-loop": ("benchmarks.torch_engines", "loop"),
  "torch-compile": ("benchmarks.torch_engines", "compiled_loop"),
  "torch-func": ("benchmarks.torch_engines", "stacked"),
}
_LOOPS = ("jax-loop", "torch-loop", "torch-compile")
_CHECKED_STEPS = 3
# Of the losses; what four engines make of the same sums, three steps on.
_TOLERANCE = 2e-3
_PEAK_SIDE = {"cpu": 2048, "gpu": 8192}


@dataclasses.dataclass(frozen=True)
class Settings:
  """Times engines that fine-tune populations."""

  models: str = "mlp,cnn"
  """Comma list of mlp, cnn, resnet18, vit, vit-small, and mlp-WIDTH, which engines of PyTorch do not know."""
  members: str = "9"
  """Comma list of numbers of members."""
  engines: str = ",".join(ENGINES)
  """Comma list."""
  batch_size: int = 128
  """Images a step."""
  steps: int = 32
  """Of a round."""
  loop_steps: int | None = None
  """Of a round of engines that loop over members, whose rate hardly depends on it. Default: --steps."""
  rounds: int = 3
  """Of each engine, after one that compiles."""
  image_size: int = 28
  """Side of the images, of three channels, in pixels."""
  json: Path | None = None
  """File for the figures: a list, an entry an engine, model and number of members."""
  plot: Path | None = None
  """PNG file for a picture of them."""


def main(settings: Settings) -> None:
  """Measures, and prints a table."""
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs some of a GPU's memory too
  jax.config.update("jax_default_matmul_precision", "float32")
  peak = _matmul_peak()
  console.print(f"{jax.devices()[0].device_kind}: {peak / 1e9:,.0f} GFLOP/s in one matrix product, float32")
  rows: list[dict[str, Any]] = []
  for model in settings.models.split(","):
    for members in map(int, settings.members.split(",")):
      shape = Shape(side=settings.image_size)
      problem = make_problem(model, members, settings.steps, settings.batch_size, shape)
      rows += _measure(problem, settings, peak)
      if settings.json is not None:  # whatever comes next
        settings.json.write_text(json.dumps(rows, indent=1))
  console.print(_table(rows))
  if settings.plot is not None:
    _plot(rows, settings.plot)


def _measure(problem: Problem, settings: Settings, peak: float) -> list[dict[str, Any]]:
  engines = settings.engines.split(",")
  members = len(problem.schedules)
  steps = {name: settings.loop_steps or settings.steps if name in _LOOPS else settings.steps for name in engines}
  flops = training_flops(problem.network, problem.params, problem.batches.shape[1])
  running: dict[str, Engine] = {}
  losses: dict[str, np.ndarray] = {}
  compiled: dict[str, float] = {}
  peaks: dict[str, int | None] = {}
  rows = []
  for name in engines:
    common = {"engine": name, "model": problem.name, "members": members}
    try:
      module, function = ENGINES[name]
      started = time.monotonic()
      running[name] = getattr(importlib.import_module(module), function)(problem)
      losses[name] = running[name](steps[name])[:, : min(_CHECKED_STEPS, *steps.values())]
      compiled[name] = time.monotonic() - started
      peaks[name] = _peak_bytes(name)
    # Whatever an engine cannot do here is its result: a compiler that is not there, memory that does not suffice.
    except Exception as error:
      running.pop(name, None)
      rows.append({**common, "failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"})
  if not running:
    raise SystemExit("\n".join(f"{row['engine']} failed: {row['failed']}" for row in rows))
  reference = losses[next(iter(running))]
  apart = {name: float(np.abs(found / reference - 1).max()) for name, found in losses.items() if name in running}
  for name, difference in apart.items():
    if not difference <= _TOLERANCE:
      raise SystemExit(f"{name} trains another {problem.name}: its losses are off by {difference:.2%}")
  seconds: dict[str, list[float]] = {name: [] for name in running}
  for _ in range(settings.rounds):
    for name, run in running.items():
      started = time.monotonic()
      run(steps[name])
      seconds[name].append(time.monotonic() - started)
  for name in running:
    took = statistics.median(seconds[name])
    rate = members * steps[name] / took
    rows.append({
      **{"engine": name, "model": problem.name, "members": members, "batch_size": problem.batches.shape[1]},
      **{"steps": steps[name], "seconds": seconds[name], "member_steps_per_s": rate},
      **{"flops_per_s": rate * flops, "matmul_flops_per_s": peak, "peak_share": rate * flops / peak},
      **{"compile_s": max(compiled[name] - took, 0.0), "peak_bytes": peaks[name], "loss_difference": apart[name]},
      **{"backend": jax.default_backend(), "device": jax.devices()[0].device_kind, "versions": _versions()},
    })  # fmt: skip
    console.print(f"{problem.name}, {members} members, {name}: {rate:,.1f} member-steps/s")
  return rows


def _matmul_peak() -> float:
  """FLOP/s of a large matrix product in float32, best of several."""
  side = _PEAK_SIDE.get(jax.default_backend(), 4096)
  x = jax.random.normal(jax.random.key(0), (side, side))  # GPUs multiply ones faster than other numbers
  product = jax.jit(lambda x: jnp.matmul(x, x, precision="float32"))
  jax.block_until_ready(product(x))
  best = float("inf")
  for _ in range(5):
    started = time.monotonic()
    jax.block_until_ready(product(x))
    best = min(best, time.monotonic() - started)
  return 2 * side**3 / best


def _peak_bytes(engine: str) -> int | None:
  """What the device held at most so far; of several engines of one library, that of the greediest until now."""
  if engine.startswith("torch"):
    import torch  # noqa: PLC0415

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
  return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _versions() -> dict[str, str]:
  found = {}
  for name in ("jax", "jaxlib", "flax", "optax", "torch"):
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def _table(rows: list[dict[str, Any]]) -> Table:
  table = Table("model", "members", "engine", "member-steps/s", "GFLOP/s", "of peak", "compile s", "against torch-loop")
  of_torch = {
    (row["model"], row["members"]): row["member_steps_per_s"]
    for row in rows
    if row["engine"] == "torch-loop" and "failed" not in row
  }
  for row in rows:
    named = (row["model"], str(row["members"]), row["engine"])
    if "failed" in row:
      table.add_row(*named, row["failed"])
      continue
    other = of_torch.get((row["model"], row["members"]))
    rate = row["member_steps_per_s"]
    table.add_row(
      *named,
      f"{rate:,.1f}",
      f"{row['flops_per_s'] / 1e9:,.0f}",
      f"{row['peak_share']:.0%}",
      f"{row['compile_s']:.1f}",
      "" if other is None else f"{rate / other:.2f} x",
    )
  return table


def _plot(rows: list[dict[str, Any]], file: Path) -> None:
  """Seconds a step of the whole population, by members: a panel a model, a line an engine."""
  import matplotlib as mpl  # noqa: PLC0415

  mpl.use("Agg")
  from matplotlib import pyplot as plt  # noqa: PLC0415

  models = list(dict.fromkeys(row["model"] for row in rows))
  figure, axes = plt.subplots(1, len(models), figsize=(4.5 * len(models), 3.6), squeeze=False, layout="constrained")
  for axis, model in zip(axes[0], models, strict=True):
    for engine in ENGINES:
      points = sorted(
        (row["members"], 1e3 * row["members"] / row["member_steps_per_s"])
        for row in rows
        if (row["model"], row["engine"]) == (model, engine) and "failed" not in row
      )
      if points:
        axis.plot(*zip(*points, strict=True), marker="o", label=engine)
    axis.set(title=model, xlabel="members", ylabel="ms a step of all members", xscale="log", yscale="log")
    axis.grid(alpha=0.3)
  axes[0][0].legend()
  figure.savefig(file, dpi=130)


if __name__ == "__main__":
  run_main(lambda: main(parse_command_line(Settings, sys.argv[1:], program="python -m benchmarks.population")))
