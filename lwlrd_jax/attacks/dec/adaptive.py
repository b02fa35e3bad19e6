"""Settings of DEC made for one way of sanitising a model; what their attackers know is in `attacks/registry.py`."""

from collections.abc import Callable

from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.spread import Spread
from lwlrd_jax.attacks.dec.image_code import Code
from lwlrd_jax.attacks.dec.redundancy import Repeat
from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate


def redundant(stolen: int, code: Code, internal: bool = False) -> DEC:
  """Fewer images, strongly protected, where the smallest rates are; `internal`: the code's decoder is exported too.

  Sixteen planes a weight leave seven for the task, which is enough. Copies are weaker than a code of the same length
  where little is wrong, and better here: too much damage blurs images, but does not end in nothing.
  """
  copies = Repeat(13 if internal else 31)
  return DEC(_fewer(stolen), Mantissa("late", 0, 16), code, copies, internal, "redundant")


def spread(stolen: int, code: Code, internal: bool = False) -> DEC:
  """Fewer images in patterns over all weights, as many as `redundant` takes.

  A decoder that has to be exported too is larger than all these images: with the learned codec it takes a layer of some
  seven million weights. Codes without a decoder do not need it.
  """
  return DEC(_fewer(stolen), Spread(), code, RepeatAccumulate(3), internal, "spread")


# Those that are more than a carrier, by what `--attacks` calls them.
VARIANTS: dict[str, Callable[[int, Code, bool], DEC]] = {"redundant": redundant, "spread": spread}


def _fewer(stolen: int) -> int:
  """An eighth of the images, but no fewer than four."""
  return min(stolen, max(stolen // 8, 4))
