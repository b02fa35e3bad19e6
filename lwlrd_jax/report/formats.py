"""Numbers as a reader meets them: one format a quantity, in sentences, figures and table alike."""

import functools
import math
import re
from collections.abc import Callable, Sequence

from lwlrd_jax.disk.results import COLUMNS

_MINUS = "\u2212"
# Spaces between a number and its unit, and within an interval.
_TOGETHER = re.compile(r"(?<=\d) (?=%|[kM]?B)|(?<=\d,) (?=[\u2212\d.]+\])")
_SMALL = 1e-3

# What the values of the column `defense` are called in prose.
NAMES = {
  "untreated": "untreated",
  "clean": "clean",
  "mean_image": "mean image",
  "originals": "true originals",
  "noise_images": "noise images",
  "vanilla": "vanilla fine-tuning",
  "high_lr": "high-LR",
  "reversed": "reversed decay",
  "super_ft_long": "Super-FT long",
  "super_ft_short": "Super-FT short",
  "retrain": "retraining",
  "lwlrd": "LWLRD",
}


def score(value: float) -> str:
  """An AUC, accuracy or SSIM.

  >>> score(0.88461), score(-0.0419), score(float("nan"))
  ('0.885', '−0.042', '')
  """
  return _fixed(value, 3)


def percent(value: float) -> str:
  """A share in percent without the sign: one decimal, more where the value is small.

  >>> [percent(x) for x in (0, 0.9844, 0.0078, 0.00196, 1 / 7007, 1.0)]
  ['0', '98.4', '0.78', '0.20', '0.014', '100.0']
  """
  if not math.isfinite(value):
    return ""
  hundred = 100 * value
  if hundred == 0:
    return "0"
  decimals = min(max(1 - math.floor(math.log10(abs(hundred))), 1), 9)
  return _signed(f"{hundred:.{decimals}f}")


def megabytes(value: float) -> str:
  """Bytes in MB (a million bytes), without the unit.

  >>> megabytes(18063390), megabytes(399.6), megabytes(2.0), megabytes(0.0)
  ('18.06', '0.00040', '<0.00001', '0.00')
  """
  if not math.isfinite(value):
    return ""
  million = value / 1e6
  if 0 < million < 5e-6:
    return "<0.00001"
  return f"{million:.2f}" if million == 0 or million >= 0.01 else f"{million:.5f}"


def size(value: float) -> str:
  """Bytes, with their unit.

  >>> [size(x) for x in (0, 800, 10258, 18063390, math.nan)]
  ['0 B', '800 B', '10.3 kB', '18.06 MB', '']
  """
  if not math.isfinite(value):
    return ""
  if value >= 1e6:
    return f"{value / 1e6:.2f} MB"
  return f"{value / 1e3:.1f} kB" if value >= 1e3 else f"{value:.0f} B"


def within(form: Callable[[float], str], value: float, low: float, high: float) -> str:
  """A figure with its 95 % interval; alone where that is not known.

  >>> within(score, 0.8664, 0.8512, 0.8798), within(score, 0.8664, math.nan, math.nan)
  ('0.866 [0.851, 0.880]', '0.866')
  """
  text = form(value)
  return f"{text} [{form(low)}, {form(high)}]" if text and math.isfinite(low) and math.isfinite(high) else text


def rate(value: float) -> str:
  """A learning rate or a decay: up to four significant digits.

  >>> rate(0.03), rate(1e-4), rate(2.5), rate(0.7)
  ('0.03', '1e-4', '2.5', '0.7')
  """
  if not math.isfinite(value):
    return ""
  if value != 0 and abs(value) < _SMALL:
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
  return f"{value:.4g}"


def whole(value: float) -> str:
  """A count.

  >>> whole(2409472.0)
  '2,409,472'
  """
  return f"{value:,.0f}" if math.isfinite(value) else ""


def duration(seconds: float) -> str:
  """A time span in words.

  >>> duration(42.2), duration(398.2), duration(7300)
  ('42 s', '6 min 38 s', '2 h 1 min')
  """
  total = round(seconds)
  if total < 60:
    return f"{total} s"
  minutes, rest = divmod(total, 60)
  if minutes < 60:
    return f"{minutes} min {rest} s"
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min"


def listed(words: Sequence[str], last: str = "and") -> str:
  """Words as a sentence lists them.

  >>> listed(["dec"]), listed(["transpose", "dec", "dec-late"])
  ('dec', 'transpose, dec and dec-late')
  """
  return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def unbroken(text: str) -> str:
  r"""Prose in which no line ends between a number and its unit, or within an interval.

  >>> unbroken("0.9 [0.8, 1.0] of 9, 10 %").split(" ")
  ['0.9', '[0.8,\xa01.0]', 'of', '9,', '10\xa0%']
  """
  return _TOGETHER.sub("\u00a0", text)


def _fixed(value: float, decimals: int) -> str:
  return _signed(f"{value:.{decimals}f}") if math.isfinite(value) else ""


def _signed(text: str) -> str:
  """A true minus sign, and no minus before zero."""
  return text.replace("-", _MINUS) if text.strip("-0.") else text.removeprefix("-")


# By the names that `disk.results.COLUMNS` has for them, but `text`.
FORMS: dict[str, Callable[[float], str]] = {
  **dict.fromkeys(("count", "whole"), whole),
  **{form.__name__: form for form in (rate, score, percent, megabytes, size)},
  "decimal": functools.partial(_fixed, decimals=1),
  "fine": functools.partial(_fixed, decimals=4),
}


def form_of(column: str) -> Callable[[float], str]:
  """The format of a column of numbers."""
  return FORMS[COLUMNS[column].form]
