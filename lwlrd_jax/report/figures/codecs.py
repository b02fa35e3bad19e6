"""What each codec needs in bytes for which sharpness."""

import itertools

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lwlrd_jax.report.figures import style
from lwlrd_jax.report.load import Run

ALT = "Line plot of peak signal-to-noise ratio against bytes an image, one line a codec; upper left is better."
_MARKERS = ("o", "^", "d", "p")
_STANDARD = {"webp": (style.BASELINE, "s"), "jpeg": (style.INK, "v")}
_NAMES = {"webp": "WebP", "jpeg": "JPEG", "png": "PNG"}
_LOSSLESS = "png"
# Sizes further apart than this need a logarithmic axis.
_WIDE = 5


def draw(run: Run) -> Figure | None:
  """PSNR against bytes an image, a line a codec; None if codecs were not compared."""
  rows = run.rate_distortion
  if rows.empty:
    return None
  figure, axes = style.one_panel(7.6, 4.2)
  learned = zip(itertools.cycle(style.LR_COLOURS), itertools.cycle(_MARKERS), strict=True)
  for codec in dict.fromkeys(rows.codec):
    # The best of those of one size.
    points = rows[rows.codec == codec].sort_values(["bytes_per_image", "psnr"])
    points = points.drop_duplicates("bytes_per_image", keep="last")
    name = _NAMES.get(codec, codec)
    if codec == _LOSSLESS:
      # Its sharpness is a convention: only its size says something.
      size = float(points.bytes_per_image.iloc[0])
      axes.axvline(size, color=style.GREY, ls="--", lw=1, label=f"{name}, lossless")
      continue
    colour, marker = next(learned) if codec.startswith("learned") else _STANDARD.get(codec, (style.GREY, "x"))
    axes.plot(points.bytes_per_image, points.psnr, color=colour, marker=marker, ms=5, lw=1.5, label=name)
  if rows.bytes_per_image.max() > _WIDE * rows.bytes_per_image.min():
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
  axes.set_xlabel("bytes an image")
  axes.set_ylabel("PSNR, dB (higher is sharper)")
  axes.grid(True)
  figure.legend(loc="outside upper center", ncols=3)
  return figure
