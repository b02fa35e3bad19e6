"""How the learned codec compares with standard ones at equal size, in words."""

import math

import numpy as np
import pandas as pd

from lwlrd_jax.report import formats

# Standard codecs that lose something, as readers know them.
_STANDARD = {"webp": "WebP", "jpeg": "JPEG"}
LOSSLESS = "png"


def is_learned(codec: str) -> bool:
  """Whether a codec was trained, by its name."""
  return codec.startswith("learned")


def shown_name(codec: str) -> str:
  """A codec as prose and figure call it."""
  return {**_STANDARD, LOSSLESS: "PNG"}.get(codec, codec)


def curve(rows: pd.DataFrame, codec: str) -> pd.DataFrame:
  """A codec's points by size; the best of those of one size.

  Args:
    rows: `load.Run.rate_distortion`.
    codec: Its name.
  """
  points = rows[rows.codec == codec].sort_values(["bytes_per_image", "psnr"])
  return points.drop_duplicates("bytes_per_image", keep="last")


def compare(rows: pd.DataFrame) -> str:
  """The learned codec against WebP and JPEG at equal bytes; empty if nothing can be compared.

  Curves are interpolated between their points, decibels over the logarithm of bytes, and never continued beyond them.

  Args:
    rows: `load.Run.rate_distortion`.
  """
  learned = [codec for codec in dict.fromkeys(rows.codec) if is_learned(codec)]
  standard = [codec for codec in _STANDARD if codec in set(rows.codec)]
  sentences = []
  for codec in learned:
    parts = [_against(curve(rows, codec), curve(rows, other), shown_name(other)) for other in standard]
    if parts:
      variant = codec.removeprefix("learned").strip(", ")
      name = f"the learned codec ({variant})" if variant else "the learned codec"
      sentences.append(f"At equal bytes {name} is {formats.listed(parts)}.")
  text = " ".join(sentences)
  return f"{text} Sizes between measured ones are interpolated." if text else ""


def _against(ours: pd.DataFrame, other: pd.DataFrame, name: str) -> str:
  low = max(ours.bytes_per_image.min(), other.bytes_per_image.min())
  high = min(ours.bytes_per_image.max(), other.bytes_per_image.max())
  if low > high:
    mine, theirs = (_range(rows.bytes_per_image.min(), rows.bytes_per_image.max()) for rows in (ours, other))
    return f"not comparable with {name} (no size in common: {mine} bytes against {theirs})"
  # Between the points of both the difference is linear: its extremes are at points.
  sizes = np.concatenate([ours.bytes_per_image, other.bytes_per_image, [low, high]])
  sizes = np.unique(sizes[(sizes >= low) & (sizes <= high)])
  gaps = _at(ours, sizes) - _at(other, sizes)
  where = f"({_range(low, high)} bytes)"
  least, most = float(gaps.min()), float(gaps.max())
  if least >= 0:
    return f"{_decibels(least, most)} better than {name} {where}"
  if most <= 0:
    return f"{_decibels(-most, -least)} worse than {name} {where}"
  return f"between {formats.decimal(-least)} dB worse and {formats.decimal(most)} dB better than {name} {where}"


def _at(points: pd.DataFrame, sizes: np.ndarray) -> np.ndarray:
  return np.interp(np.log(sizes), np.log(points.bytes_per_image), points.psnr)


def _decibels(low: float, high: float) -> str:
  texts = list(dict.fromkeys([formats.decimal(low), formats.decimal(high)]))
  return f"{' to '.join(texts)} dB"


def _range(low: float, high: float) -> str:
  texts = list(dict.fromkeys([formats.whole(math.floor(low)), formats.whole(math.ceil(high))]))
  return " to ".join(texts)
