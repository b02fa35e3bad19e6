"""What a sweep's work is done with: data on the device, the codec, the attacks, the finishers."""

import dataclasses

from lwlrd_jax.attacks.base import Attack, Means
from lwlrd_jax.attacks.dec.redundancy import redundancy_of
from lwlrd_jax.attacks.making import make_attack
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.data.copies import Copies, find_copies
from lwlrd_jax.data.device import to_device
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.measure import Bench
from lwlrd_jax.metrics.postprocess import public_statistics
from lwlrd_jax.plan.plan import Plan
from lwlrd_jax.setup.codec import make_coding
from lwlrd_jax.setup.finish import Finisher
from lwlrd_jax.setup.start import Starter
from lwlrd_jax.setup.starting_points import Origin, check_attack, data_digest
from lwlrd_jax.team import Team


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
  """What all members of a sweep share."""

  plan: Plan
  copies: Copies  # training images that are copies of each other
  bench: Bench
  origin: Origin
  attacks: tuple[Attack, ...]
  starter: Starter
  finisher: Finisher

  @property
  def notes(self) -> list[str]:
    """What a user should know of the data and the network, one line each."""
    notes = (*self.plan.data.notes, self.copies.note, self.plan.network.unused_message(), self.starter.note)
    return [note for note in notes if note]


def prepare(plan: Plan, team: Team, *, dry: bool = False) -> Setup:
  """Puts data on the device, trains the codec if one is needed (unless `dry`), and makes the attacks.

  Raises:
    UserError: An attack cannot carry what it is to steal.
  """
  copies = find_copies(plan.data.train.images)
  train = to_device(plan.data.train, stream=plan.execution.stream, copies=copies)
  val, test = to_device(plan.data.val), to_device(plan.data.test)
  families = {ATTACKS[name].family for name in plan.infection.attacks}
  origin = Origin(plan, train, val, data_digest(plan.data), None)
  if any(family.needs_transpose for family in families):
    if not plan.network.reversible:
      raise UserError(
        f"`attacks` {','.join(plan.infection.attacks)}: {plan.model} has no method transpose, from codes f32[N, K] to "
        "images; allowed: dec and its kind, which need none"
      )
    _check(origin, make_attack("transpose", _means(origin)))  # before a codec is trained
  if any(family.needs_codec for family in families):
    origin = dataclasses.replace(origin, coding=make_coding(plan, team, dry=dry))
  attacks = [make_attack(name, _means(origin)) for name in plan.infection.attacks]
  for attack in attacks:
    _check(origin, attack)
  bench = Bench(plan.network, train, val, test, public_statistics(train))
  starter = Starter(plan.network, origin.draw, plan.starting, plan.limits.bytes)
  finisher = Finisher(plan.network, plan.declared, train, val, plan.finishing)
  return Setup(plan, copies, bench, origin, tuple(attacks), starter, finisher)


def _means(origin: Origin) -> Means:
  infection, codes = origin.plan.infection, origin.plan.codes
  return Means(
    stolen=infection.stolen,
    training=infection.training,
    recipe=origin.plan.recipe,
    public=len(origin.public),
    steps_of=infection.steps_of,
    check=lambda attack: _check(origin, attack),
    code=None if origin.coding is None else origin.coding.code,
    planes=codes.planes,
    redundancy=redundancy_of(*codes.redundancy),
    internal=codes.scenario == "internal",
  )


def _check(origin: Origin, attack: Attack) -> None:
  for seed in range(origin.plan.infection.seeds):
    check_attack(origin, attack, seed)
