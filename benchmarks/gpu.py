"""What `benchmarks/gpu.sh` runs beside the other benchmarks.

python -m benchmarks.gpu equality --json FILE
python -m benchmarks.gpu rates --models mlp --members 9,64 --strategies vmap,loop --json FILE
python -m benchmarks.gpu summary --folder FOLDER
"""

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.problem import Problem, Shape, make_problem
from lwlrd_jax.cli import parse_command_line, run_main
from lwlrd_jax.config.reading import read_strategy
from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.device import to_device
from lwlrd_jax.engine import population
from lwlrd_jax.engine.mapping import default_strategy
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.memory import taken_by
from lwlrd_jax.engine.population import Finetuning, Population, finetune, member_mesh
from lwlrd_jax.errors import not_known
from lwlrd_jax.models.cost import activation_bytes, training_flops

_STEPS_PER_CALL = 32


@dataclasses.dataclass(frozen=True)
class Equality:
  """Compares members fine-tuned on the default device with members fine-tuned on the CPU by the same process."""

  models: str = "mlp,cnn"
  """Comma list of networks, as in `benchmarks.population`."""
  members: int = 4
  """Fine-tuned at once."""
  batch_size: int = 16
  """Images a step."""
  steps: int = 8
  """Of every member."""
  json: Path = Path("equality.json")
  """File for the differences."""


@dataclasses.dataclass(frozen=True)
class Rates:
  """Times steps by strategy and precision, apart from compilation and from the transfer of the models to the host."""

  models: str = "mlp,cnn"
  """Comma list of networks, as in `benchmarks.population`."""
  members: str = "64"
  """Comma list."""
  strategies: str = "auto"
  """Comma list, each as in a sweep's `--strategy`."""
  computes: str = "float32"
  """Comma list of float32, bfloat16, and tensorfloat32: float32 with 13 bits less in the products' factors."""
  batch_size: int = 128
  """Images a step."""
  calls: int = 4
  """Of 32 steps each."""
  json: Path = Path("rates.json")
  """File for the rates."""


@dataclasses.dataclass(frozen=True)
class Summary:
  """Gathers what the parts wrote into gpu.json and gpu.md."""

  folder: Path = Path()
  """Where they wrote it."""


def main(settings: Equality | Rates | Summary) -> None:
  """Runs one part."""
  if isinstance(settings, Summary):
    _summarise(settings.folder)
    return
  rows: list[dict[str, Any]] = []
  for row in compare(settings) if isinstance(settings, Equality) else time_steps(settings):
    rows.append(row)
    print(json.dumps(row), flush=True)
    settings.json.write_text(json.dumps(rows, indent=1))  # the next row may be one too many


def compare(settings: Equality) -> Iterator[dict[str, Any]]:
  """A row a model: distances of the fine-tuned weights, each over the distance that fine-tuning moved them."""
  jax.config.update("jax_default_matmul_precision", "float32")  # as in a sweep
  device, cpu = jax.devices()[0], jax.devices("cpu")[-1]
  for model in settings.models.split(","):
    problem = make_problem(model, settings.members, settings.steps, settings.batch_size, Shape())
    last = dataclasses.replace(problem, schedules=problem.schedules[-1:])
    strategy = default_strategy(problem.network, problem.params, settings.batch_size)
    found = _finetune_on(device, problem, strategy)
    reference = _finetune_on(cpu, problem, "vmap")
    yield {
      **{"model": model, "members": settings.members, "steps": settings.steps, "batch_size": settings.batch_size},
      **{"device": device.device_kind, "strategy": strategy},
      "to_cpu": _distance(found, reference, problem),
      "cpu_loop_to_cpu_vmap": _distance(_finetune_on(cpu, problem, "loop"), reference, problem),
      "repeated": _distance(_finetune_on(device, problem, strategy), found, problem),
      "last_member_alone": _distance(_finetune_on(device, last, strategy), _last_of(found), problem),
    }


def _finetune_on(device: jax.Device, problem: Problem, strategy: Any) -> Population:
  with jax.default_device(device):
    return finetune(
      problem.params,
      problem.schedules,
      to_device(Split(problem.images, problem.labels)),
      jax.random.key(1),
      Finetuning(
        Member(problem.network, "adam", 0.0), problem.batches.shape[1], strategy=strategy, mesh=member_mesh([device])
      ),
    )


def _last_of(tuned: Population) -> Population:
  return Population(jax.tree.map(lambda leaf: leaf[-1:], tuned.params), tuned.losses[-1:])


def _distance(tuned: Population, reference: Population, problem: Problem) -> dict[str, float]:
  """Of losses the largest relative one; of weights the largest, and the norm over that of what fine-tuning changed."""
  pairs = list(zip(*(jax.tree.leaves(tree) for tree in (tuned.params, reference.params, problem.params)), strict=True))
  apart = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b, _ in pairs)
  moved = sum(float(np.square(b.astype(np.float64) - start).sum()) for _, b, start in pairs)
  return {
    "loss": float(np.abs(tuned.losses / reference.losses - 1).max()),
    "weights_max": max(float(np.abs(a - b).max()) for a, b, _ in pairs),
    "weights_norm": (apart / moved) ** 0.5,
  }


def time_steps(settings: Rates) -> Iterator[dict[str, Any]]:
  """A row a combination; what fails is a row too."""
  programs: list[int] = []
  check_room = population.check_room

  def noting(compiled: Any, devices: int) -> None:
    programs.append(taken_by(compiled))
    check_room(compiled, devices)

  population.check_room = noting
  try:
    for model in settings.models.split(","):
      for members in map(int, settings.members.split(",")):
        problem = make_problem(model, members, settings.calls * _STEPS_PER_CALL, settings.batch_size, Shape())
        for compute in settings.computes.split(","):
          for strategy in settings.strategies.split(","):
            row = {"model": model, "members": members, "compute": compute, "strategy": strategy}
            try:
              yield {**row, **_timed(problem, compute, strategy), "program_bytes": programs[-1]}
            # Whatever a combination cannot do here is its result, lack of memory above all.
            except Exception as error:
              yield {**row, "failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
  finally:
    population.check_room = check_room


def _timed(problem: Problem, compute: str, strategy: str) -> dict[str, Any]:
  network, batch_size = problem.network, problem.batches.shape[1]
  reduced = compute == "tensorfloat32"
  jax.config.update("jax_default_matmul_precision", "tensorfloat32" if reduced else "float32")
  member = Member(network, "adam", 0.0, "bfloat16" if compute == "bfloat16" else "float32")
  data = to_device(Split(problem.images, problem.labels))
  times = [time.monotonic()]
  tuned = finetune(
    problem.params,
    problem.schedules,
    data,
    jax.random.key(1),
    Finetuning(
      member,
      batch_size,
      strategy=None if strategy == "auto" else read_strategy("--strategies", strategy),  # type: ignore[arg-type]
      mesh=member_mesh(jax.local_devices()[:1]),
    ),
    on_steps=lambda steps: times.append(time.monotonic()),
  )
  calls = np.diff(times)
  of_call = statistics.median(calls[2:-1])  # the first call may still compile, the last is reported after the transfer
  rate = len(problem.schedules) * _STEPS_PER_CALL / of_call
  weights = sum(leaf.nbytes for leaf in jax.tree.leaves(problem.params))
  return {
    **{"member_steps_per_s": rate, "flops_per_s": rate * training_flops(network, problem.params, batch_size)},
    **{
      "compile_s": calls[0],
      "transfer_s": max(calls[-1] - of_call, 0.0),
      "last_loss": float(tuned.losses[:, -1].mean()),
    },
    "peak_bytes_so_far": (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use"),
    "state_bytes_of_member": 3 * weights,  # Adam keeps two moments
    "kept_bytes_of_member": activation_bytes(network, problem.params, batch_size),  # some of the weights once more
  }


def _summarise(folder: Path) -> None:
  read = {
    kind: [row for file in sorted(folder.glob(f"{kind}*.json")) for row in json.loads(file.read_text())]
    for kind in ("equality", "population", "rates", "convolutions")
  }
  found: dict[str, Any] = {"parts": _parts(folder), "card": _text(folder / "card.txt").strip(), **read}
  found["sweeps"] = {log.parent.name: _events(log) for log in sorted(folder.glob("sweep*/log.jsonl"))}
  found["streaming"] = [line for line in _text(folder / "streaming.log").splitlines() if " ms a step " in line]
  (folder / "gpu.json").write_text(json.dumps(found, indent=1))
  sections = [
    f"{found['card']}\n",
    _markdown("Parts", found["parts"]),
    _markdown("Equality", [_flat(row) for row in read["equality"]]),
    _markdown("Populations", _of_torch(read["population"])),
    _markdown("Steps alone", read["rates"]),
    _markdown("Convolutions", read["convolutions"]),
    *(_markdown(name, events) for name, events in found["sweeps"].items()),
    "## Streaming\n",
    *found["streaming"],
  ]
  (folder / "gpu.md").write_text("\n".join(sections) + "\n")
  print((folder / "gpu.md").read_text())


def _text(file: Path) -> str:
  return file.read_text() if file.exists() else ""


def _parts(folder: Path) -> list[dict[str, Any]]:
  lines = [line.split("\t") for line in _text(folder / "parts.tsv").splitlines()]
  return [{"part": name, "seconds": int(seconds), "exit": int(code)} for name, seconds, code in lines]


def _events(log: Path) -> list[dict[str, Any]]:
  """Wall time of the phases, and how the run ended."""
  events = [json.loads(line) for line in log.read_text().splitlines()]
  kept = ("phase_ended", "wave_done", "run_done", "run_stopped", "run_failed")
  return [
    {name: event.get(name) for name in ("event", "title", "members", "steps", "seconds", "member_steps_per_s", "said")}
    for event in events
    if event["event"] in kept
  ]


def _of_torch(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Populations with their ratio to PyTorch's loop of as many members."""
  torch = {
    (row["model"], row["batch_size"], row["members"]): row["member_steps_per_s"]
    for row in rows
    if row["engine"] == "torch-loop" and "failed" not in row
  }
  shown = ("model", "batch_size", "members", "engine", "member_steps_per_s", "peak_share", "compile_s", "peak_bytes")
  found = []
  for row in rows:
    key = (row["model"], row.get("batch_size"), row["members"])
    ratio = row["member_steps_per_s"] / torch[key] if key in torch and "failed" not in row else None
    found.append({**{name: row.get(name) for name in shown}, "of_torch_loop": ratio, "failed": row.get("failed")})
  return found


def _flat(row: dict[str, Any]) -> dict[str, Any]:
  return {
    name if inner is None else f"{name} {inner}": value
    for name, entry in row.items()
    for inner, value in (entry.items() if isinstance(entry, dict) else [(None, entry)])
  }


def _markdown(title: str, rows: list[dict[str, Any]]) -> str:
  columns = list(dict.fromkeys(name for row in rows for name in row))
  lines = [columns, ["---"] * len(columns), *([_shown(row.get(name)) for name in columns] for row in rows)]
  return "\n".join([f"## {title}\n", *(f"| {' | '.join(line)} |" for line in lines), ""]) if rows else ""


def _shown(value: Any) -> str:
  if value is None:
    return ""
  return (
    f"{value:.4g}"
    if isinstance(value, float) and abs(value) < 1e4
    else f"{value:,.0f}"
    if isinstance(value, float)
    else str(value)
  )


def command() -> None:
  """Runs the part that the command line names, with its flags."""
  parts = {"equality": Equality, "rates": Rates, "summary": Summary}
  name, *words = sys.argv[1:] or [""]
  if name not in parts:
    raise not_known("python -m benchmarks.gpu", name, parts)
  main(parse_command_line(parts[name], words, program=f"python -m benchmarks.gpu {name}"))


if __name__ == "__main__":
  run_main(command)
