"""Hand-made run directories: plausible figures, no training."""

import json
from pathlib import Path

import numpy as np
import pytest

from lwlrd_jax.analysis.outcomes import Outcomes
from lwlrd_jax.analysis.verdict import CONTROLS, DOWNSTREAM_CONTROLS, judge
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.results import results_table

LAYERS = ["dense0", "dense1", "dense2", "dense3"]


def make_row(defense, *, auc=None, reid=None, ssim=None, seed=0, attack="transpose", **cells):
  """A row; `decay`, `lr_max`, `status` and any other column by name."""
  attack = "none" if defense in {"clean", *DOWNSTREAM_CONTROLS} else attack
  label = "-".join(str(part) for part in (attack, defense, cells.get("lr_max"), cells.get("decay"), f"s{seed}") if part)
  tuning = {} if defense in CONTROLS else {"epochs": 6, "shape": "cosine", "optimizer": "adam"}
  row = {"member": label, "attack": attack, "model": "mlp", "dataset": "phantom", "seed": seed, "defense": defense}
  row |= {"status": "ok", "prepare": "none", "finish": "none", "auc": auc, "reid": reid, "ssim": ssim, **tuning}
  if auc is not None:
    row |= {"accuracy": auc - 0.1, "balanced_accuracy": auc - 0.4}
  if ssim is not None:
    row |= {"ssim_naive": ssim - 0.4, "psnr": 15.0, "mse": 0.03}
  return row | cells


def make_controls(**common):
  """The three controls: an attack that works, and a floor of SSIM 0.45."""
  weights = {"surviving_mantissa": 13e6, "surviving_exponent": 4.5e6, "surviving_sign": 0.5e6, "surviving_bytes": 18e6}
  clean = {"surviving_mantissa": 0.0, "surviving_exponent": 2.4e6, "surviving_sign": 0.1e6, "surviving_bytes": 2.5e6}
  return [
    make_row("untreated", auc=0.88, reid=0.98, ssim=0.97, **weights, **common),
    make_row("clean", auc=0.9, reid=0.0, ssim=0.15, **clean, **common),
    make_row("mean_image", reid=0.0005, ssim=0.45, **common),
  ]


def make_sweep(decays, lrs=(0.03,), seeds=1, attack="transpose"):
  """Rows of a sweep in which decay 0.5 to 0.8 stop the attack, the lower the more useful."""
  rows = []
  for seed in range(seeds):
    rows += make_controls(seed=seed)
    for lr in lrs:
      for decay in decays:
        leak = max(0.0, 0.9 * (1 - decay / 0.5) ** 2) if decay < 0.5 else 0.002 * (decay > 0.7)
        size = (8 - 3 * decay) * 1e6
        rows.append(
          make_row(
            "lwlrd",
            decay=decay,
            lr_max=lr,
            seed=seed,
            attack=attack,
            auc=0.89 - 0.12 * decay**2 - lr / 3 + 0.004 * seed,
            reid=leak,
            ssim=0.42 + leak / 2,
            surviving_mantissa=size * 0.4,
            surviving_exponent=size * 0.55,
            surviving_sign=size * 0.05,
            surviving_bytes=size,
          )
        )
      rows.append(make_row("high_lr", lr_max=lr, auc=0.62 + lr, reid=0.0, ssim=0.35, seed=seed))
      rows.append(make_row("reversed", decay=0.5, lr_max=lr, auc=0.8, reid=0.2, ssim=0.5, seed=seed))
    rows.append(make_row("vanilla", lr_max=1e-4, auc=0.885, reid=0.97, ssim=0.96, seed=seed))
    rows.append(make_row("super_ft_long", lr_max=2.5, seed=seed, status="diverged", epochs=100))
    rows.append(make_row("super_ft_short", lr_max=0.1, auc=0.86, reid=0.9, ssim=0.9, seed=seed))
  return rows


# What each code survives: fine-tuning at any rate, and scrubbing.
CARRIERS = {
  "dec": (0.08, False),
  "dec-late": (0.01, False),
  "dec-dead": (0.0, False),
  "dec-dictionary": (0.0, False),
  "dec-signs": (0.03, True),
}


def make_carriers(decays, attacks=("transpose", "dec", "dec-dead"), finishes=("none", "scrub")):
  """Rows of a sweep over several attacks and finishes: fine-tuning stops only transpose, scrub most codes."""
  sweep = [row for row in make_sweep(decays) if row["status"] == "ok"]
  rows = [row for row in sweep if row["attack"] == "none"]
  for attack in attacks:
    for row in sweep:
      if row["attack"] == "none":
        continue
      for finish in finishes if row["defense"] != "untreated" else ("none",):
        label = f"{row['member'].replace('transpose', attack)}{'' if finish == 'none' else '-' + finish}"
        rows.append(_under(row, attack, finish) | {"member": label, "attack": attack, "finish": finish})
  return rows


def _under(row, attack, finish):
  size = {"surviving_mantissa": 3e6, "surviving_exponent": 3e6, "surviving_sign": 0.2e6, "surviving_bytes": 6.2e6}
  changed = {**size, **row}
  scrubbed = finish != "none"
  if scrubbed:
    mantissa = 0.02e6
    changed |= {"auc": row["auc"] - 0.004, "surviving_mantissa": mantissa, "surviving_dead": 0.0}
    changed["surviving_bytes"] = mantissa + changed["surviving_exponent"] + changed["surviving_sign"]
  else:
    changed["surviving_dead"] = 0.3 * changed["surviving_bytes"]
  changed["surviving_extra"] = 3e5 if attack == "dec-dictionary" and not scrubbed else 0.0
  if attack == "transpose":
    return changed
  errors, stays = CARRIERS[attack]
  errors = 0.5 if scrubbed and not stays else 0.0 if row["defense"] == "untreated" else errors
  leak = 0.0005 if errors == 0.5 else 0.99 - 2 * errors
  if row["defense"] == "untreated":
    changed |= {"host_auc": row["auc"] + 0.001, "codec_psnr": 33.4, "psnr": 33.4, "payload_bytes": 5.7e5}
    changed["carrier_share"] = 0.16
  return changed | {"ber": errors, "exact": float(errors == 0), "reid": leak, "ssim": 0.1 if errors == 0.5 else 0.8}


def make_survival(rows):
  """What is left of a bit: less at the input, less in low planes, nothing of mantissas after scrub."""
  survival = {}
  for row in rows:
    if row["defense"] in {"clean", "mean_image"}:
      continue
    planes = np.ones((len(LAYERS), 32), np.float32)
    if row["defense"] != "untreated":
      depth = np.linspace(0.25, 1, len(LAYERS))[:, None] * (0.9 if row["defense"] == "vanilla" else 0.5)
      planes[:, :23] = depth * np.linspace(0.4, 1, 23)
      planes[:, 23:31] = np.linspace(0.6, 1, 8)
      planes[:, 31] = 0.7
    if row["finish"] == "scrub":
      planes[:, :23] = 0.01
    survival[row["member"]] = planes
  return survival


def make_worth(rows):
  """The same rows with what a fresh classifier learns: the more, the more is re-identified; and its own controls."""
  controls = {"mean_image": 0.53, "originals": 0.84, "noise_images": 0.5, "clean": 0.55}
  seeds = sorted({row["seed"] for row in rows})
  rows = [dict(row) for row in rows]
  rows += [make_row(name, seed=seed) for seed in seeds for name in ("originals", "noise_images")]
  for row in rows:
    if row["status"] == "ok":
      row["downstream_auc"] = controls.get(row["defense"], 0.53 + 0.3 * (row["reid"] or 0.0))
  return rows


def make_outcomes(rows, *, stolen=256, test=1024, noise=0.3):
  """Figures by image with the rows' means. Test images are as hard for every member, but for a fifth of the noise."""
  random = np.random.default_rng(0)
  hard = random.normal(0, noise, test)
  outcomes = {}
  for row in rows:
    for name in ("auc", "downstream_auc"):
      if row.get(name) is not None:
        array = hard + random.normal(0, noise / 5, test)
        outcomes[f"{name}/{row['member']}"] = (array - array.mean() + row[name]).astype(np.float32)
    count = int(row.get("stolen") or stolen)
    for name, spread in (("ssim", 0.1), ("psnr", 2.0), ("mse", 0.01)):
      if row.get(name) is not None:
        array = random.normal(0, spread, count)
        outcomes[f"{name}/{row['member']}"] = (array - array.mean() + row[name]).astype(np.float32)
    if row.get("reid") is not None:
      hits = np.clip(row["reid"] * count - np.arange(count), 0, 1)  # the last one of a tie
      outcomes[f"reid/{row['member']}"] = random.permutation(hits).astype(np.float32)
  return outcomes


def make_search(recommended=1):
  """config.json's entry of a search."""
  front = [
    {"label": f"lwlrd-{decay}", "defense": "lwlrd", "decay": decay, "lr_max": 0.03, "epochs": 6, "shape": "cosine"}
    | {"floor": floor, "finish": "none", "auc_drop": drop, "auc_drop_val": drop + 0.01, "auc": 0.88 - drop}
    | {"reid": reid, "through": [], "reid_by_attack": {"transpose": reid, "dec": 0.0}}
    for decay, floor, drop, reid in ((0.6, 0.1, 0.031, 0.0), (0.5, 0.0, 0.02, 0.004), (0.3, 0.0, 0.01, 0.2))
  ]
  front = [entry | {"recommended": i == recommended} for i, entry in enumerate(front)]
  return {"rounds": 3, "tried": 24, "failed": 0, "max_auc_drop": 0.05, "front": front, "recommended": recommended}


def make_codecs():
  """A learned codec that is better than WebP and JPEG where their sizes meet."""
  rows = [("learned, entropy-coded", size, 24 + 5 * np.log10(size / 40)) for size in (40, 80, 160, 320, 640)]
  rows += [("learned, fixed length", size, 22 + 5 * np.log10(size / 40)) for size in (60, 120, 240, 480, 960)]
  rows += [("webp", size, 20 + 6 * np.log10(size / 100)) for size in (100, 200, 400, 800)]
  rows += [("jpeg", size, 18 + 8 * np.log10(size / 350)) for size in (350, 500, 700, 1000)]
  rows.append(("png", 1800, 60.0))
  return [{"codec": c, "setting": 1, "bytes_per_image": float(b), "psnr": float(p)} for c, b, p in rows]


def make_config(rows, *, labels=("nevus", "melanoma"), licensed=True, show=False, train=2048, stolen=256):
  """config.json as `setup/describe.py` writes it."""
  members = {}
  for row in rows:
    if row.get("lr_max"):
      factor = row.get("decay") if row["defense"] == "lwlrd" else 1.0
      peak = [row["lr_max"] * factor**depth for depth in range(len(LAYERS))]
      members[row["member"]] = {"steps": 96, "peak_lr": peak, "mean_lr": [rate / 2 for rate in peak]}
  return {
    "command": "python -m lwlrd_jax.sweep",
    "started": "2025-01-01T00:00:00+00:00",
    "run_seconds": 61.5,
    "versions": {"jax": "0.10.2"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "matmul_precision": "float32",
    "git_commit": None,
    "config": {"decays": "0.1:0.9", "model": "mlp", "show_stolen": show},
    "dataset": {
      "name": "phantom",
      "train": train,
      "val": 256,
      "test": 1024,
      "image_shape": [28, 28, 3],
      "label_names": list(labels),
      "multi_label": False,
      "openly_licensed": licensed,
      "sha256": "0" * 64,
    },
    "absent_classes": [],
    "stolen": stolen,
    "infection": {"transpose": {"steps": 1076}},
    "fine_tuning": {"epochs": 6, "batch_size": 128},
    "postprocessings": ["raw", "per-image"],
    "layers": LAYERS,
    "layer_parameters": [100, 50, 50, 7],
    "members": members,
  }


def make_samples(rows, channels=3, count=8):
  """Noise in the place of reconstructions."""
  random = np.random.default_rng(0)
  picture = random.integers(0, 255, (count, 12, 12, channels), dtype=np.uint8)
  members = {f"member/{row['member']}": picture for row in rows if row["defense"] != "mean_image"}
  return {"originals": picture, "mean_image": picture[0], **members}


def write_run(
  path: Path, rows, *, channels=3, samples=True, survival=False, codecs=False, outcomes=False, search=None, **config
) -> Path:
  """A run directory."""
  run = RunDirectory.create(path, overwrite=False)
  entry = {} if search is None else {"search": search}
  run.write_config(json.loads(json.dumps(make_config(rows, **config) | entry)))
  run.write_results(rows)
  if samples:
    run.write_arrays("samples", make_samples(rows, channels))
  if survival:
    run.write_arrays("survival", make_survival(rows))
  if outcomes:
    run.write_arrays("outcomes", make_outcomes(rows))
  if codecs:
    run.write_rate_distortion(make_codecs())
  return path


class Make:
  """The functions above, for tests (test files cannot import one another)."""

  row = staticmethod(make_row)
  controls = staticmethod(make_controls)
  sweep = staticmethod(make_sweep)
  carriers = staticmethod(make_carriers)
  codecs = staticmethod(make_codecs)
  survival = staticmethod(make_survival)
  worth = staticmethod(make_worth)
  outcomes = staticmethod(make_outcomes)
  search = staticmethod(make_search)
  run = staticmethod(write_run)

  @staticmethod
  def table(rows):
    return results_table(rows)

  @staticmethod
  def judged(rows, **kwargs):
    """A verdict with intervals."""
    table = results_table(rows)
    outcomes = Outcomes(make_outcomes(rows, **kwargs), dict(zip(table.member, table.seed, strict=True)))
    return judge(table, chance=1 / 2048, stolen=256, outcomes=outcomes)


@pytest.fixture(scope="session")
def make():
  return Make
