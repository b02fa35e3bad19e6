"""Labels that overlap neither each other nor the points."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

_DISTANCES = (7, 14, 24, 36, 50, 66, 84, 104)
_DIRECTIONS = [(np.cos(a), np.sin(a)) for a in np.radians([0, 180, 30, -30, 150, -150, 90, -90, 60, -60, 120, -120])]


class Label(NamedTuple):
  """Text for a point, in data coordinates."""

  x: float
  y: float
  text: str
  colour: str
  bold: bool = False


def place_labels(
  axes: Axes,
  labels: Sequence[Label],
  points: Sequence[tuple[float, float]],
  levels: Sequence[float] = (),
  size: float = 8,
) -> None:
  """Writes each label at the nearest free place around its point, with a thin line to it if that is not beside it.

  Args:
    axes: Where; limits and layout must be final.
    labels: In order of precedence.
    points: All that is drawn, in data coordinates: not to be covered.
    levels: Heights of horizontal lines across the plot, not to be covered either.
    size: Of the font, points.
  """
  figure = axes.figure
  canvas = figure.canvas
  assert isinstance(canvas, FigureCanvasAgg)
  canvas.draw()
  renderer = canvas.get_renderer()
  frame = axes.get_window_extent(renderer)
  pixels = figure.dpi / 72  # a point
  around = 4.5 * pixels
  taken = [Bbox.from_bounds(x - around, y - around, 2 * around, 2 * around) for x, y in _pixels(axes, points)]
  for _, y in _pixels(axes, [(0.0, level) for level in levels]):
    taken.append(Bbox.from_extents(frame.x0, y - pixels, frame.x1, y + pixels))
  for label in labels:
    annotation = axes.annotate(
      label.text,
      (label.x, label.y),
      xytext=(0, 0),
      textcoords="offset points",
      fontsize=size,
      color=label.colour,
      fontweight="bold" if label.bold else "normal",
      va="center",
      ha="left",
      zorder=8,
      path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.8)],
    )
    extent = annotation.get_window_extent(renderer)
    anchor = _pixels(axes, [(label.x, label.y)])[0]
    box, offset, distance = _find_place(anchor, extent.width, extent.height, frame, taken, pixels)
    annotation.set_position((offset[0] / pixels, offset[1] / pixels))
    if distance > _DISTANCES[1]:
      end = (np.clip(anchor[0], box.x0, box.x1), np.clip(anchor[1], box.y0, box.y1))
      start = axes.transData.inverted().transform(anchor)
      stop = axes.transData.inverted().transform(end)
      axes.plot(*zip(start, stop, strict=True), color=label.colour, linewidth=0.6, alpha=0.6, zorder=2, clip_on=False)
    taken.append(box.padded(2 * pixels))


def _find_place(anchor, width, height, frame: Bbox, taken: list[Bbox], pixels: float):
  """The first place without an overlap; the one with the least if there is none."""
  choices: list[Any] = []
  for distance in _DISTANCES:
    for across, up in _DIRECTIONS:
      x = anchor[0] + across * distance * pixels
      y = anchor[1] + up * distance * pixels
      left = x if across > 0.1 else x - width if across < -0.1 else x - width / 2
      box = Bbox.from_bounds(left, y - height / 2, width, height)
      inside = box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
      overlap = sum(_shared_area(box, other) for other in taken) + (0 if inside else 1e9)
      place = (box, (left - anchor[0], y - anchor[1]), distance)
      if overlap == 0:
        return place
      choices.append((overlap, len(choices), place))
  return min(choices)[2]


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
  """Moves values apart along a line, each as little as may be, in order.

  Args:
    values: Wanted positions.
    gap: Least distance of neighbours.
    low: Smallest position allowed.
    high: Largest; exceeded if there are too many.

  >>> spread([1.0, 1.0, 5.0], 1.0, 0.0, 10.0)
  [0.5, 1.5, 5.0]
  """
  order = np.argsort(values, kind="stable")
  # Neighbours that are too close form a block, centred where its members wanted to be.
  blocks: list[list[float]] = []
  for i in order:
    blocks.append([float(values[i])])
    while len(blocks) > 1 and _start(blocks[-1], gap) < _start(blocks[-2], gap) + len(blocks[-2]) * gap:
      last = blocks.pop()
      blocks[-1] += last
  placed = [_start(block, gap) + k * gap for block in blocks for k in range(len(block))]
  for k in range(len(placed) - 1, -1, -1):
    placed[k] = min(placed[k], high - (len(placed) - 1 - k) * gap)
  for k in range(len(placed)):
    placed[k] = max(placed[k], low + k * gap)
  result = [0.0] * len(placed)
  for position, i in zip(placed, order, strict=True):
    result[i] = float(position)
  return result


def _start(block: list[float], gap: float) -> float:
  return sum(block) / len(block) - gap * (len(block) - 1) / 2


def right_labels(axes: Axes, labels: Sequence[tuple[float, str, str]], size: float = 7.5) -> None:
  """Names lines at the right edge of the plot, moved apart where they would touch.

  Args:
    axes: Where; scales and limits must be final.
    labels: Height in data coordinates, text and colour.
    size: Of the font, points.
  """
  if not labels:
    return
  axes.figure.canvas.draw()
  height = axes.get_window_extent().height / axes.figure.dpi * 72
  transform = axes.transData + axes.transAxes.inverted()
  wanted = [float(transform.transform((0, y))[1]) for y, _, _ in labels]
  # Constrained layout narrows a plot for its labels but keeps its height: positions hold.
  positions = spread(wanted, (size + 2.5) / height, 0.02, 0.99)
  for at, want, (_, text, colour) in zip(positions, wanted, labels, strict=True):
    axes.plot([1, 1.012, 1.022], [want, at, at], transform=axes.transAxes, color=colour, lw=0.7, clip_on=False)
    axes.text(1.028, at, text, transform=axes.transAxes, color=colour, fontsize=size, va="center", ha="left")


def _pixels(axes: Axes, points: Sequence[tuple[float, float]]) -> np.ndarray:
  return axes.transData.transform(np.asarray(points, float).reshape(-1, 2))


def _shared_area(a: Bbox, b: Bbox) -> float:
  shared = Bbox.intersection(a, b)
  return 0.0 if shared is None else shared.width * shared.height
