"""What a schedule is: the learning rate of each layer."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from lwlrd_jax.analysis.verdict import STEPS, TUNING
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

ALT = "Line plot of the peak learning rate of each layer, from input to output, on a logarithmic axis, by schedule."


def draw(run: Run) -> Figure | None:
  """Peak learning rate by layer, a line a schedule; None if config.json has no rates of any member in the table."""
  layers, members = [str(layer) for layer in run.config["layers"]], run.config["members"]
  # Finishers do not change a schedule's rates: one line for all of them.
  schedules = run.verdict.schedules.assign(**dict.fromkeys(STEPS, "none"))
  lines: dict[tuple, tuple] = {}
  for _, schedule in schedules.iterrows():
    peaks = next((members[name]["peak_lr"] for name in schedule.members if name in members), ())
    if len(peaks) == len(layers) and max(peaks) > 0:
      lines.setdefault((*schedule[TUNING].astype(str), *peaks), (schedule, np.asarray(peaks, float)))
  if not lines:
    return None
  figure, axes = style.one_panel(7.6, 4.4)
  axes.set_yscale("log")
  axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))
  axes.yaxis.set_minor_locator(NullLocator())
  lwlrd = schedules[schedules.defense == "lwlrd"]
  decays, lrs = (sorted(lwlrd[name].dropna().unique()) for name in ("decay", "lr_max"))
  colours = style.decay_colours(decays)
  for schedule, peaks in lines.values():
    # A frozen layer has no place on a logarithmic axis: a gap in the line.
    values = np.where(peaks > 0, peaks, np.nan)
    if schedule.defense == "lwlrd":
      dashes = style.LR_STYLES[lrs.index(schedule.lr_max) % len(style.LR_STYLES)]
      label = f"LWLRD, lr_max {rate(schedule.lr_max)}" if schedule.decay == decays[0] else None
      colour = colours.to_rgba(schedule.decay)
      axes.plot(values, color=colour, ls=dashes, marker="o", ms=3.5, lw=1.5, zorder=3, label=label)
    else:
      marker, label = style.MARKERS.get(schedule.defense, ">"), short_name(schedule, schedules)
      axes.plot(values, color=style.BASELINE, marker=marker, ms=5, lw=1.1, label=label)
  if decays:
    style.decay_bar(figure, [axes], decays)
  axes.set_xticks(range(len(layers)), layers, rotation=0 if len(layers) <= 8 else 60)
  axes.set_xlabel("layer, from input to output")
  axes.set_ylabel("peak learning rate")
  axes.grid(True, axis="y")
  figure.legend(loc="outside lower center", ncols=4)
  return figure
