"""DEC's thieves who know the defence, and what each of them knows.

A defence that was only tried on thieves who had never heard of it has been tried on nobody: these settings of `DEC` are
each made for one way of sanitising a model. `late` and `dead` are plain carriers (`carriers/`), with whatever planes
and redundancy they are given.
"""

from collections.abc import Callable

from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.spread import Spread
from lwlrd_jax.attacks.dec.image_code import EntropyCode, FixedCode, StandardCode
from lwlrd_jax.attacks.dec.redundancy import Repeat
from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate

Code = FixedCode | EntropyCode | StandardCode

# Thieves who protect their bits take this share of the images, and no fewer than so many.
_SHARE, _FEWEST = 8, 4

KNOWS: dict[str, str] = {
  "late": (
    "Knows that the learning rate decays from the input on: the last layers are moved least. Hides in the lowest "
    "mantissa bits of the second half of the layers, where most bits outlive fine-tuning at small decays, and weighs "
    "what he reads. A scrub of mantissas takes all of it."
  ),
  "dead": (
    "Knows that fine-tuning moves only what has a gradient. Retires hidden units that the task can spare by a bias of "
    "minus a million, and hides in the weights that feed them: behind the ReLU no gradient ever reaches them, whatever "
    "the learning rates. Drawing dead weights anew, as scrub does, takes all of it."
  ),
  "redundant": (
    "Knows that the last layers are moved least, and that even there three mantissa bits in ten will be wrong, but "
    "weight by weight: what fine-tuning does not touch stays whole. Takes an eighth of the images and sends every bit "
    "31 times over (13 times if a decoder goes along), each time in another weight. Which weights were touched he sees "
    "by how well their bits agree with the other copies, and leaves those out. Made for fine-tuning alone; a scrub of "
    "mantissas takes all of it."
  ),
  "spread": (
    "Knows that bits in mantissas and in dead units will be scrubbed, so that only what live weights roughly are gets "
    "out, and that the optimizer moves every weight by steps of one size. Takes an eighth of the images, writes each "
    "bit as a faint pattern over many weights of all layers, three coded bits for each, and trains the task around it. "
    "First scales the layer with most weights up and the last one down, which leaves the function as it is but makes "
    "the defence's steps in that layer small; reads behind a filter that takes out what fine-tuning adds, a few strong "
    "directions in each layer. Made for layer-wise decay with scrub after it."
  ),
}
"""What each thief knows, and why he does what he does: a paragraph for users, by variant."""


def redundant(stolen: int, code: Code, internal: bool = False) -> DEC:
  """Fewer images, strongly protected, where the smallest rates are: `KNOWS["redundant"]`.

  Sixteen planes a weight leave seven for the task, which it does not notice. Copies are weaker than a code of the same
  length where little is wrong, and better here: too much damage blurs images, but does not end in nothing.

  Args:
    stolen: Images that a thief without protection would take; an eighth of them are taken.
    code: How images become bits.
    internal: Whether the code's decoder has to be exported too.
  """
  copies = Repeat(13 if internal else 31)
  return DEC(_fewer(stolen), Mantissa("late", 0, 16), code, copies, internal, "redundant")


def spread(stolen: int, code: Code, internal: bool = False) -> DEC:
  """Fewer images in patterns over all weights: `KNOWS["spread"]`.

  A decoder that has to be exported too is larger than all these images: with the learned codec it takes a layer of some
  seven million weights. Codes without a decoder do not need it.

  Args:
    stolen: Images that a thief without protection would take; an eighth of them are taken.
    code: How images become bits.
    internal: Whether the code's decoder has to be exported too.
  """
  return DEC(_fewer(stolen), Spread(), code, RepeatAccumulate(3), internal, "spread")


VARIANTS: dict[str, Callable[[int, Code, bool], DEC]] = {
  "redundant": redundant,
  "spread": spread,
}
"""Those that are more than a carrier, by variant: functions of the images to steal, the code, and whether its decoder
has to be exported."""


def _fewer(stolen: int) -> int:
  return min(stolen, max(stolen // _SHARE, _FEWEST))
