"""What all parts of a sweep share."""

import dataclasses
import sys

import jax

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.data import Dataset
from lwlrd_jax.data.copies import Copies, find_copies
from lwlrd_jax.data.device import to_device
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.postprocess import PublicStatistics, public_statistics
from lwlrd_jax.models import build_model
from lwlrd_jax.plan.resolve import Resolved, check_network, measured_together, strategy_of
from lwlrd_jax.setup.attacks import make_attacks, plain_transpose
from lwlrd_jax.setup.codec import make_coding
from lwlrd_jax.setup.finish import Finisher
from lwlrd_jax.setup.starting_points import Origin, check_attack, data_digest


class Setting:
  """Data, model, attacks.

  Attributes:
    config: What the user asked for.
    data: The data set; `train`, `val` and `test` are its splits on the device.
    copies: Which training images are copies of each other.
    public: What an attacker knows of such images.
    network: The model's structure.
    declared: Shapes of its arrays.
    parameters: Its parameters by layer, in depth order.
    origin: What starting points are made from.
    attacks: To defend against.
    finisher: Steps on the weights.
    seeds: Infections of each attack.
    strategy: How a device maps over members.
    measured_together: Members that are measured side by side; lowered where that is too many.
    most_members: Members of a wave that there is known to be room for; lowered likewise.
    may_show: Whether pictures of reconstructions may be kept.

  Args:
    config: See above.
    data: See above.
    resolved: Defaults that were filled in.
    dry: Whether nothing may be trained: then a codec that is not in the cache stays untrained.

  Raises:
    UserError: An attack cannot carry what it is to steal.
  """

  def __init__(self, config: SweepConfig, data: Dataset, resolved: Resolved, *, dry: bool = False):
    self.config = config
    self.data = data
    self.copies: Copies = find_copies(data.train.images)
    self.train = to_device(data.train, stream=resolved.stream, copies=self.copies)
    self.val = to_device(data.val)
    self.test = to_device(data.test)
    self.public: PublicStatistics = public_statistics(self.train)
    self.network, params = build_model(config.data.model, data.image_shape, data.num_outputs, jax.random.key(0))
    check_network(config, resolved, self.network, params, data)
    self.declared = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
    self.parameters = {layer: sum(leaf.size for leaf in params[layer].values()) for layer in self.network.layers}
    self.seeds = config.infection.seeds
    self.strategy = strategy_of(config.run.strategy, self.network, self.declared, resolved.batch_size)
    training, digest = resolved.training, data_digest(data)
    self.origin = Origin(config.data.model, data, self.train, self.val, digest, resolved.stolen, training, None)
    families = {ATTACKS[name].family for name in resolved.attacks}
    backwards = any(family.needs_transpose for family in families)
    if backwards and not self.network.reversible:
      raise UserError(
        f"--attacks {config.infection.attacks}: {config.data.model} has no method transpose, from codes f32[N, K] to "
        "images; allowed: dec and its kind, which need none"
      )
    if backwards:
      self._check(plain_transpose(self.origin))  # before anybody waits for a codec to be trained
    if any(family.needs_codec for family in families):
      coding = make_coding(config, data, stream=resolved.stream, dry=dry)
      self.origin = dataclasses.replace(self.origin, coding=coding)
    self.attacks: list[Attack] = make_attacks(resolved.attacks, config, self.origin, self._check)
    for attack in self.attacks:
      self._check(attack)
    self.finisher = Finisher(self.network, self.declared, self.train, self.val, config.finishing)
    self.measured_together = measured_together(self.network, self.declared, resolved.stolen)
    self.most_members = sys.maxsize
    self.may_show = data.openly_licensed or config.run.show_stolen

  def _check(self, attack: Attack) -> None:
    for seed in range(self.seeds):
      check_attack(self.origin, attack, seed)
