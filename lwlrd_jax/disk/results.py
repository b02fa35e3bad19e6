"""The results table: one row a member, every column declared once with its meaning."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Column(NamedTuple):
  """A column."""

  header: str  # its name for readers
  form: str  # how its cells are printed, a key of `report.formats.FORMS`
  meaning: str  # for readers of the table and of the docs

  @property
  def dtype(self) -> str:
    """Its type in results.parquet."""
    return {"text": "string", "count": "int64"}.get(self.form, "float64")

  @property
  def is_figure(self) -> bool:
    """Whether it is measured: a mean over infections says something."""
    return self.form not in {"text", "count", "rate", "whole"}


# In the table's order. The table is a contract: add columns, never rename or drop one.
COLUMNS = {
  "member": Column("member", "text", "name of the member, and of its checkpoint; unique in a run"),
  "attack": Column("attack", "text", "attack whose infected model it started from; none for controls that saw none"),
  "model": Column("model", "text", "network"),
  "dataset": Column("data set", "text", "data set"),
  "seed": Column("seed", "count", "number of the infection, 0 .. seeds - 1"),
  "stolen": Column("stolen", "whole", "images the attack took"),
  "defense": Column(
    "defense",
    "text",
    "untreated, clean, mean_image, originals, noise_images, vanilla, high_lr, reversed, super_ft_long, super_ft_short, "
    "retrain, lwlrd",
  ),
  "start": Column("start", "text", "what the defence began from: keep, redraw, shrink-L or distil; empty for controls"),
  "decay": Column("decay", "rate", "learning-rate factor from one layer to the next; empty where there is none"),
  "lr_max": Column("lr_max", "rate", "largest learning rate of any layer at any step; empty without fine-tuning"),
  "floor": Column("floor", "rate", "share of lr_max below which no layer's rate falls; 0 without a floor"),
  "granularity": Column("decay by", "text", "what the decay counts: layer or block"),
  "epochs": Column("epochs", "rate", "passes over the training set while fine-tuning"),
  "shape": Column("shape", "text", "course of the learning rate over time"),
  "optimizer": Column("optimizer", "text", "inner optimizer of the fine-tuning"),
  "batch_size": Column("batch size", "whole", "images a fine-tuning step"),
  "share": Column("share of data", "rate", "share of the training split that the fine-tuning saw, in (0, 1]"),
  "overlap": Column("stolen among it", "text", "whether that share holds stolen images: any, none or all"),
  "finish": Column("finish", "text", "finishing steps on the weights after the schedule, joined by +; none without"),
  "prepare": Column("prepare", "text", "the same before the schedule"),
  "status": Column("status", "text", "ok, diverged, or failed: why"),
  "accuracy": Column("accuracy", "score", "share of right test labels, in [0, 1]"),
  "balanced_accuracy": Column("balanced accuracy", "score", "mean recall over classes, in [0, 1]"),
  "auc": Column("AUC", "score", "macro area under the ROC curve on the test split, in [0, 1]"),
  "auc_val": Column("AUC, validation", "score", "macro AUC on the validation split, by which schedules are chosen"),
  "balanced_accuracy_val": Column(
    "balanced accuracy, validation", "score", "the same on the validation split, by which schedules are chosen"
  ),
  "compute": Column(
    "compute, %",
    "percent",
    "floating-point operations of the defence over those of training the model once, finishing steps counted",
  ),
  "certified_bytes": Column(
    "certified, at most", "size", "bytes that any attack, known or not, can send through this model at most"
  ),
  "downstream_auc": Column(
    "AUC, downstream",
    "score",
    "macro AUC on the test split of fresh classifiers trained on stolen images and labels as the attacker gets them",
  ),
  "ssim_naive": Column("SSIM, naive", "score", "mean SSIM of the raw extraction clipped to [0, 1]"),
  "ssim": Column("SSIM, best", "score", "mean SSIM after the best post-processing, in [-1, 1]"),
  "psnr": Column("PSNR, dB", "decimal", "mean peak signal-to-noise ratio after the best post-processing, dB"),
  "mse": Column("MSE", "fine", "mean squared error after the best post-processing, images in [0, 1]"),
  "reid": Column(
    "re-identified, %", "percent", "share of stolen images re-identified among all training images, in [0, 1]"
  ),
  "ber": Column(
    "bit errors, %", "percent", "bit error rate of an embedded code, 0.5 if nothing is left; empty without one"
  ),
  "exact": Column("exact images, %", "percent", "share of stolen images whose code has no error; empty without one"),
  "host_auc": Column("AUC before hiding", "score", "of an untreated DEC model: AUC before anything was hidden in it"),
  "codec_psnr": Column(
    "PSNR of the codec, dB", "decimal", "likewise: PSNR of what the image codec alone makes of the stolen images, dB"
  ),
  "payload_bytes": Column("payload, MB", "megabytes", "likewise: bytes hidden in it, redundancy not counted"),
  "carrier_share": Column(
    "of the carrier's room, %",
    "percent",
    "likewise: share of the carrier's room that they take, redundancy counted, in [0, 1]",
  ),
  "scrubbed_planes": Column(
    "scrubbed planes", "text", "mantissa planes that scrub replaced, by layer; empty without scrub"
  ),
  "scrub_reinitialised": Column(
    "re-initialised weights", "whole", "weights that scrub re-initialised: outputs do not depend on them"
  ),
  "scrub_kept": Column(
    "weights kept without a gradient",
    "whole",
    "weights without a gradient that scrub kept, as the outputs depend on them",
  ),
  "surviving_bytes": Column("surviving, MB", "megabytes", "capacity left to a channel keyed by position, bytes"),
  "surviving_mantissa": Column("mantissa, MB", "megabytes", "its part in the 23 mantissa planes, bytes"),
  "surviving_exponent": Column("exponent, MB", "megabytes", "its part in the 8 exponent planes, bytes"),
  "surviving_sign": Column("sign, MB", "megabytes", "its part in the sign plane, bytes"),
  "surviving_extra": Column("extra tensors, MB", "megabytes", "its part in entries that belong to no layer, bytes"),
  "surviving_dead": Column(
    "in dead weights, MB",
    "megabytes",
    "what the bits of weights dead before the finishing step still say about what they were, bytes",
  ),
  "seconds": Column("fine-tuning, s", "decimal", "wall time of this member's fine-tuning: its share of its wave"),
}


def results_table(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
  """Rows as a table with exactly the columns of `COLUMNS`, in their order and types.

  A row is one member's dict; a missing key is an empty cell, KeyError for a key that is no column.

  >>> table = results_table([{"member": "a", "attack": "none", "model": "mlp", "dataset": "phantom", "seed": 0}])
  >>> len(table.columns) == len(COLUMNS), bool(table.auc.isna().all())
  (True, True)
  """
  unknown = {key for row in rows for key in row} - COLUMNS.keys()
  if unknown:
    raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
  table = pd.DataFrame(rows, columns=list(COLUMNS))
  return table.astype({name: column.dtype for name, column in COLUMNS.items()})
