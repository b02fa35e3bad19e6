"""What a schedule is: the learning rate of each layer."""

import numpy as np
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import STEPS, TUNING, Verdict
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.figures.labels import right_labels
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

# Lines beyond which labels at the edge would not be readable; the colours still tell decays apart.
_MOST_LABELS = 18


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Peak learning rate by layer, a line a schedule.

  Returns:
    None if config.json tells no rates of any member in the table.
  """
  layers = [str(layer) for layer in run.config["layers"]]
  lines = []
  # Steps on the weights do not change a schedule's rates: one line for all of them.
  schedules = verdict.schedules.assign(**dict.fromkeys(STEPS, "none"))
  seen = set()
  for _, schedule in schedules.iterrows():
    known = [run.config["members"].get(member) for member in schedule.members]
    peaks = next((entry.get("peak_lr") for entry in known if isinstance(entry, dict)), None)
    if isinstance(peaks, list) and len(peaks) == len(layers):
      values = np.asarray(peaks, float)
      line = (*schedule[TUNING].astype(str), *peaks)
      if line in seen:
        continue
      seen.add(line)
      # A frozen layer has no place on a logarithmic axis: a gap in the line.
      lines.append((schedule, np.where(values > 0, values, np.nan)))
  lines = [(schedule, values) for schedule, values in lines if np.isfinite(values).any()]
  if not lines:
    return None
  figure = style.new_figure(7.6, 4.4)
  axes = figure.subplots()
  style.rate_axis(axes)
  lwlrd = verdict.schedules[verdict.schedules.defense == "lwlrd"]
  colours, scale = style.decay_colours(sorted(lwlrd.decay.dropna().unique()))
  lrs = sorted(lwlrd.lr_max.dropna().unique())
  labels = []
  for schedule, values in lines:
    if schedule.defense == "lwlrd":
      colour = style.hex_colour(colours(scale(schedule.decay)))
      dashes = style.LR_STYLES[lrs.index(schedule.lr_max) % len(style.LR_STYLES)] if schedule.lr_max in lrs else "-"
      axes.plot(values, color=colour, ls=dashes, marker="o", ms=3.5, lw=1.5, zorder=3)
    else:
      colour = style.BASELINE
      marker = style.MARKERS.get(schedule.defense, ">")
      axes.plot(values, color=colour, marker=marker, ms=5, lw=1.1, alpha=0.9, zorder=2)
    if np.isfinite(values[-1]):
      labels.append((float(values[-1]), short_name(schedule, schedules), colour))
  axes.set_xticks(range(len(layers)), layers, rotation=0 if len(layers) <= 8 else 60)
  axes.set_xlabel("layer, from input to output")
  axes.set_ylabel("peak learning rate")
  axes.grid(True, axis="y")
  if len(labels) > _MOST_LABELS:
    labels = _thinned(labels, lines)
  right_labels(axes, labels, size=7)
  return figure


def _thinned(labels, lines):
  """All baselines, and an even subset of LWLRD's labels."""
  is_lwlrd = [schedule.defense == "lwlrd" for schedule, values in lines if np.isfinite(values[-1])]
  ours = [label for label, yes in zip(labels, is_lwlrd, strict=True) if yes]
  others = [label for label, yes in zip(labels, is_lwlrd, strict=True) if not yes][: _MOST_LABELS // 2]
  keep = np.linspace(0, len(ours) - 1, min(len(ours), _MOST_LABELS - len(others))).round().astype(int)
  return [ours[i] for i in sorted(set(keep.tolist()))] + others


def alt_text(verdict: Verdict) -> str:
  """What the figure shows, in words."""
  del verdict
  return "Line plot of the peak learning rate of each layer, from input to output, on a logarithmic axis, by schedule."
