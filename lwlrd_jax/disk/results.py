"""The results table: one row a member, and what each column means."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

# Column, dtype and meaning, in the table's order. The table is a contract: add columns, never rename or drop one.
COLUMNS: dict[str, tuple[str, str]] = {
  "member": ("string", "name of the member, and of its checkpoint; unique in a run"),
  "attack": ("string", "attack whose infected model this started from; none for controls that never saw one"),
  "model": ("string", "network"),
  "dataset": ("string", "data set"),
  "seed": ("int64", "number of the infection, 0 .. seeds - 1"),
  "stolen": ("float64", "images the attack took"),
  "defense": (
    "string",
    "untreated, clean, mean_image, originals, noise_images, vanilla, high_lr, reversed, super_ft_long, super_ft_short, "
    "lwlrd",
  ),
  "decay": ("float64", "learning-rate factor from one layer to the next; empty where the schedule has none"),
  "lr_max": ("float64", "largest learning rate of any layer at any step; empty without fine-tuning"),
  "floor": ("float64", "share of lr_max below which no layer's rate falls; 0 without a floor"),
  "granularity": ("string", "what the decay counts: layer or block"),
  "epochs": ("float64", "passes over the training set while fine-tuning"),
  "shape": ("string", "course of the learning rate over time"),
  "optimizer": ("string", "inner optimizer of the fine-tuning"),
  "batch_size": ("float64", "images a fine-tuning step"),
  "share": ("float64", "share of the training split that the fine-tuning saw, in (0, 1]"),
  "overlap": ("string", "whether that share holds stolen images: any, none or all"),
  "finish": ("string", "finishing steps on the weights after the schedule, joined by +; none without"),
  "prepare": ("string", "the same before the schedule"),
  "status": ("string", "ok, diverged, or failed: why"),
  "accuracy": ("float64", "share of right test labels, in [0, 1]"),
  "balanced_accuracy": ("float64", "mean recall over classes, in [0, 1]"),
  "auc": ("float64", "macro area under the ROC curve on the test split, in [0, 1]"),
  "auc_val": ("float64", "macro AUC on the validation split, by which schedules are chosen; in [0, 1]"),
  "downstream_auc": (
    "float64",
    "macro AUC on the test split of fresh classifiers trained on stolen images and labels as the attacker gets them",
  ),
  "ssim_naive": ("float64", "mean SSIM of the raw extraction clipped to [0, 1]"),
  "ssim": ("float64", "mean SSIM after the best post-processing, in [-1, 1]"),
  "psnr": ("float64", "mean peak signal-to-noise ratio after the best post-processing, dB"),
  "mse": ("float64", "mean squared error after the best post-processing, images in [0, 1]"),
  "reid": ("float64", "share of stolen images re-identified among all training images, in [0, 1]"),
  "ber": ("float64", "bit error rate of an embedded code, 0.5 if nothing is left; empty for attacks without one"),
  "exact": ("float64", "share of stolen images whose code arrives without an error; empty likewise"),
  "host_auc": ("float64", "of an untreated DEC model: AUC of the same model before anything was hidden in it"),
  "codec_psnr": ("float64", "likewise: psnr of what the image codec alone makes of the stolen images, dB"),
  "payload_bytes": ("float64", "likewise: bytes hidden in it, redundancy not counted"),
  "carrier_share": ("float64", "likewise: share of the carrier's room that they take, redundancy counted, in [0, 1]"),
  "scrubbed_planes": ("string", "mantissa planes that scrub replaced, by layer from the input; empty without scrub"),
  "scrub_reinitialised": ("float64", "weights that scrub re-initialised, as the outputs do not depend on them"),
  "scrub_kept": ("float64", "weights without a gradient that scrub kept, as the outputs depend on them"),
  "surviving_bytes": ("float64", "capacity left to a channel keyed by position, bytes"),
  "surviving_mantissa": ("float64", "its part in the 23 mantissa planes, bytes"),
  "surviving_exponent": ("float64", "its part in the 8 exponent planes, bytes"),
  "surviving_sign": ("float64", "its part in the sign plane, bytes"),
  "surviving_extra": ("float64", "its part in entries of the checkpoint that belong to no layer, bytes"),
  "surviving_dead": (
    "float64",
    "what the bits of weights dead before the finishing step still say about what they were, bytes",
  ),
  "seconds": ("float64", "wall time of this member's fine-tuning: its share of its wave"),
}


def results_table(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
  """Rows as a table with exactly the columns of `COLUMNS`, in their order and types.

  Args:
    rows: One dict a member; a missing key is an empty cell.

  Returns:
    A DataFrame with a fresh index.

  Raises:
    KeyError: A row has a key that is no column.

  >>> table = results_table([{"member": "a", "attack": "none", "model": "mlp", "dataset": "phantom", "seed": 0}])
  >>> len(table.columns) == len(COLUMNS), bool(table.auc.isna().all())
  (True, True)
  """
  unknown = {key for row in rows for key in row} - COLUMNS.keys()
  if unknown:
    raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
  table = pd.DataFrame(rows, columns=list(COLUMNS))
  return table.astype({name: dtype for name, (dtype, _) in COLUMNS.items()})
