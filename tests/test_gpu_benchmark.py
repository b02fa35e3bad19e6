"""Parts of benchmarks/gpu.sh that no other benchmark has, in a size that says nothing."""

import json
from collections.abc import Iterator

import jax
import pytest

from benchmarks.gpu import Rates, Summary, main, time_steps


@pytest.fixture(autouse=True)
def _precision_is_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # what the benchmark would set for good
  before = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
  yield
  jax.config.update("jax_default_matmul_precision", before)


def test_rates_and_their_summary(tmp_path, capsys):
  settings = Rates(models="mlp-16", members="2", strategies="vmap", batch_size=4, calls=4)
  (row,) = time_steps(settings)
  assert row["member_steps_per_s"] > 0
  assert row["program_bytes"] > 2 * row["state_bytes_of_member"]
  (tmp_path / "rates-mlp.json").write_text(json.dumps([row]))
  common = {"model": "mlp", "members": 2, "batch_size": 4, "peak_share": 0.5}
  rows = [
    {**common, "engine": "lwlrd_jax", "member_steps_per_s": 30.0},
    {**common, "engine": "torch-loop", "member_steps_per_s": 10.0},
    {"model": "mlp", "members": 2, "engine": "torch-func", "failed": "RuntimeError: none"},
  ]
  (tmp_path / "population-mlp.json").write_text(json.dumps(rows))
  (tmp_path / "parts.tsv").write_text("rates-mlp\t12\t0\npopulation-mlp\t90\t124\n")
  main(Summary(tmp_path))
  said = capsys.readouterr().out
  assert "| population-mlp | 90 | 124 |" in said
  assert "| mlp | 4 | 2 | lwlrd_jax | 30 | 0.5 |  |  | 3 |  |" in said
  assert "RuntimeError: none" in said
  assert json.loads((tmp_path / "gpu.json").read_text())["rates"] == [row]


def test_a_combination_that_fails_is_a_row():
  (row,) = time_steps(Rates(models="mlp-16", members="2", strategies="sideways", batch_size=4))
  assert "--strategies sideways: not known" in row["failed"]


def test_engines_that_loop_may_take_fewer_steps(tmp_path):
  from benchmarks import population  # noqa: PLC0415

  file = tmp_path / "rows.json"
  population.main(
    population.Settings(
      models="mlp-16", members="2", engines="lwlrd_jax,jax-loop", batch_size=4, steps=4, loop_steps=2,
      rounds=1, json=file,
    )
  )  # fmt: skip
  assert {row["engine"]: row["steps"] for row in json.loads(file.read_text())} == {
    "lwlrd_jax": 4,
    "jax-loop": 2,
  }
