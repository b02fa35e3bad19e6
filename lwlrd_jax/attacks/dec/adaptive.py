"""DEC's attackers who know the defence; what each of them knows is in `attacks/registry.py`.

These settings of `DEC` are each made for one way of sanitising a model. `late` and `dead` are plain carriers
(`carriers/`), with whatever planes and redundancy they are given.
"""

from collections.abc import Callable

from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.spread import Spread
from lwlrd_jax.attacks.dec.image_code import Code
from lwlrd_jax.attacks.dec.redundancy import Repeat
from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate

# Attackers who protect their bits take this share of the images, and no fewer than so many.
_SHARE, _FEWEST = 8, 4


def redundant(stolen: int, code: Code, internal: bool = False) -> DEC:
  """Fewer images, strongly protected, where the smallest rates are.

  Sixteen planes a weight leave seven for the task, which is enough. Copies are weaker than a code of the same length
  where little is wrong, and better here: too much damage blurs images, but does not end in nothing.

  Args:
    stolen: Images that an attacker without protection would take; an eighth of them are taken.
    code: How images become bits.
    internal: Whether the code's decoder has to be exported too.
  """
  copies = Repeat(13 if internal else 31)
  return DEC(_fewer(stolen), Mantissa("late", 0, 16), code, copies, internal, "redundant")


def spread(stolen: int, code: Code, internal: bool = False) -> DEC:
  """Fewer images in patterns over all weights. Arguments as `redundant`.

  A decoder that has to be exported too is larger than all these images: with the learned codec it takes a layer of some
  seven million weights. Codes without a decoder do not need it.
  """
  return DEC(_fewer(stolen), Spread(), code, RepeatAccumulate(3), internal, "spread")


# Those that are more than a carrier, by what `--attacks` calls them.
VARIANTS: dict[str, Callable[[int, Code, bool], DEC]] = {"redundant": redundant, "spread": spread}


def _fewer(stolen: int) -> int:
  return min(stolen, max(stolen // _SHARE, _FEWEST))
