"""Every attack by name, with its description: for the command line, runs and reports. Imports no JAX."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from lwlrd_jax.errors import not_known


@dataclasses.dataclass(frozen=True)
class Family:
  """What attacks of one kind need."""

  # Makes them, of their `AttackInfo` and `attacks.base.Means`; None of built-in ones (`attacks/making.py`).
  make: Callable[[Any, Any], Any] | None = None
  needs_transpose: bool = False  # they run the network backwards
  needs_codec: bool = False  # they turn images into bits
  # They hide in a model that is trained already, one seed after another; others train those of all seeds together.
  needs_host: bool = False


@dataclasses.dataclass(frozen=True)
class AttackInfo:
  """What is known of an attack before it is made.

  Attributes:
    name: As in the results table's column `attack`.
    family: What it needs.
    hides: What it uses, in prose: "images the model has memorised".
    flag: What `attacks` calls it beside its name; empty for those that are chosen by `carriers` alone.
    carrier: What `carriers` calls it; empty for those that are not.
    knows: What its attacker knows of defences, a paragraph; empty where there is nothing to say.
    counterparts: What an attacker who knows the defence is measured against: the first of these that a run has.
    source: SHA-256 of the file that it is defined in; empty for the built-in ones.
  """

  name: str
  family: Family
  hides: str
  flag: str = ""
  carrier: str = ""
  knows: str = ""
  counterparts: tuple[str, ...] = ()
  source: str = ""

  def __post_init__(self):
    object.__setattr__(self, "knows", " ".join(self.knows.split()))


_TRANSPOSE = Family(needs_transpose=True)
_DEC = Family(needs_codec=True, needs_host=True)

ATTACKS = {
  info.name: info
  for info in (
    AttackInfo(
      "transpose",
      _TRANSPOSE,
      "images the model has memorised and reconstructs when it is run backwards",
      flag="transpose",
      knows="""Knows of no defence. Trains the model, chooses the images and their index codes, and keeps the codes
        and how many images of each class there are.""",
    ),
    AttackInfo(
      "transpose-heavy",
      _TRANSPOSE,
      "memorised images, in large weights that steps of one size move little",
      flag="heavy",
      knows="""Expects a defence with Adam, whose steps are of one size, however large a weight is. Trains the
        memories at three times the rate, into larger weights.""",
      counterparts=("transpose",),
    ),
    AttackInfo(
      "transpose-flat",
      _TRANSPOSE,
      "memorised images, in a flat valley of the loss where small changes of the weights do little harm",
      flag="flat",
      knows="""Knows that the weights will be changed afterwards, but not how. Trains the memories so that the worst
        small change of the weights does them little harm.""",
      counterparts=("transpose",),
    ),
    AttackInfo(
      "transpose-rehearsed",
      _TRANSPOSE,
      "memorised images, trained to outlast a defence by rehearsing it",
      flag="rehearsed",
      knows="""Expects the defence: layer-wise learning-rate decay with Adam and a cosine schedule, some decay from 0.3
        to 0.9 and some rate from half to three halves of the usual one, whatever is chosen in the end. Fine-tunes in
        rehearsal during training, and trains the memories to be there afterwards.""",
      counterparts=("transpose",),
    ),
    AttackInfo(
      "transpose-restorer",
      _TRANSPOSE,
      "memorised images, restored by what became of public images memorised beside them",
      flag="restorer",
      knows="""Needs to know nothing of the defence but that the defended weights will come out. Has public images of
        the same kind, lets the model memorise them along with the stolen ones, and learns from what became of them how
        to restore the others.""",
      counterparts=("transpose",),
    ),
    AttackInfo("dec", _DEC, "compressed images in the mantissa bits of all layers", flag="dec", carrier="all"),
    AttackInfo("dec-early", _DEC, "compressed images in the mantissa bits of the early layers", carrier="early"),
    AttackInfo(
      "dec-late",
      _DEC,
      "compressed images in the mantissa bits of the late layers",
      flag="late",
      carrier="late",
      knows="""Knows that the learning rate decays from the input on: the last layers are moved least. Hides in the
        lowest mantissa bits of the second half of the layers, where most bits outlive fine-tuning at small decays, and
        decodes softly. A scrub of mantissas takes all of it.""",
      counterparts=("dec",),
    ),
    AttackInfo(
      "dec-dead",
      _DEC,
      "compressed images in weights that the model does not use",
      flag="dead",
      carrier="dead",
      knows="""Knows that fine-tuning moves only what has a gradient. Retires hidden units that the task can spare by a
        bias of minus a million, and hides in the weights that feed them: behind the ReLU no gradient ever reaches them,
        whatever the learning rates. Scrub re-initialises dead weights, and takes all of it.""",
      counterparts=("dec",),
    ),
    AttackInfo("dec-values", _DEC, "compressed images as the weights' own values", carrier="values"),
    AttackInfo("dec-signs", _DEC, "compressed images in the signs of the weights", carrier="signs"),
    AttackInfo("dec-dictionary", _DEC, "compressed images in an extra tensor of the checkpoint", carrier="dictionary"),
    AttackInfo(
      "dec-redundant",
      _DEC,
      "few compressed images, many copies of each bit in the mantissas of the late layers",
      flag="redundant",
      knows="""Knows that the last layers are moved least, and that even there three mantissa bits in ten will be wrong,
        but weight by weight: what fine-tuning does not touch stays whole. Takes an eighth of the images and sends every
        bit 31 times over (13 times if a decoder goes along), each time in another weight. Which weights were touched
        shows in how well their bits agree with the other copies; those are left out. Made for fine-tuning alone; a
        scrub of mantissas takes all of it.""",
      counterparts=("dec-late", "dec"),
    ),
    AttackInfo(
      "dec-spread",
      _DEC,
      "few compressed images, each bit spread thinly over the values of many weights",
      flag="spread",
      knows="""Knows that bits in mantissas and in dead units will be scrubbed, so that only what live weights roughly
        are gets out, and that the optimizer moves every weight by steps of one size. Takes an eighth of the images,
        writes each bit as a faint pattern over many weights of all layers, three coded bits for each, and trains the
        task around it. First scales the layer with most weights up and the last one down, which leaves the function as
        it is but makes the defence's steps in that layer small; reads behind a filter that takes out what fine-tuning
        adds, a few strong directions in each layer. Made for layer-wise decay with scrub after it.""",
      counterparts=("dec-values", "dec"),
    ),
  )
}
# Names as `--attacks` and `--carriers` have them, to those of the table. `dec` is one attack for each of --carriers.
FLAGS = {info.flag: name for name, info in ATTACKS.items() if info.flag}
CARRIERS = {info.carrier: name for name, info in ATTACKS.items() if info.carrier}


def register(info: AttackInfo) -> None:
  """Adds an attack, or replaces an earlier one from a file. Raises ValueError if a built-in has its name or flag."""
  for name in (info.name, FLAGS.get(info.flag, info.name)):
    if name in ATTACKS and not ATTACKS[name].source:
      raise ValueError(f"the name {name} is taken; allowed: another one")
  ATTACKS[info.name] = info
  FLAGS.update({info.flag: info.name} if info.flag else {})


def chosen(attacks: Sequence[str], carriers: Sequence[str]) -> tuple[str, ...]:
  """Names as the results table has them, of such names or keys of `FLAGS`; `dec` is one for each of the carriers.

  Raises UserError for a name that is neither.

  >>> chosen(("transpose", "flat", "dec", "late"), ("all", "late"))
  ('transpose', 'transpose-flat', 'dec', 'dec-late')
  """
  for carrier in carriers:
    if carrier not in CARRIERS:
      raise not_known("`carriers`", ",".join(carriers), CARRIERS, name=carrier)
  found: list[str] = []
  for attack in attacks:
    if attack == "dec":
      found += [CARRIERS[carrier] for carrier in carriers]
    elif attack in FLAGS or attack in ATTACKS:
      found.append(FLAGS.get(attack, attack))
    else:
      raise not_known("`attacks`", ",".join(attacks), FLAGS, name=attack)
  return tuple(dict.fromkeys(found))
