"""Everything that is measured of a member: one row of the results table, for many members in one call."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack, Extraction, Infected
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.engine.mapping import Strategy, map_members
from lwlrd_jax.metrics.capacity import Survival, survival
from lwlrd_jax.metrics.downstream import downstream_auc
from lwlrd_jax.metrics.leakage import Leakage, leakage, versions
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS, PublicStatistics
from lwlrd_jax.metrics.utility import Utility, auc_by_image, utility
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.predict import predict

# How figures are measured, and what counts as a live weight. Raised with every change after which a figure is another:
# half of a table must not be measured otherwise than the rest.
MEASURES = 4
# What may teach a classifier more than the version that is recognised most, which is made to tell images apart.
_TO_TRAIN_ON = np.array([list(POSTPROCESSINGS).index(name) for name in ("raw", "per-pixel")])
# Stolen images of which a picture is kept, at most.
_SAMPLES = 8
# Of the surviving bytes, what adds up to them; what is in dead weights is a part of the first three.
_PARTS = ("mantissa", "exponent", "sign", "extra")


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=["train", "val", "test", "public"], meta_fields=["network"]
)
@dataclasses.dataclass(frozen=True)
class Bench:
  """What members are measured with.

  Images were stolen from `train`, and are looked for there; an attacker chooses by `val`, and knows `public` of such
  images; utility is measured on `test`.
  """

  network: Network
  train: DeviceSplit
  val: DeviceSplit
  test: DeviceSplit
  public: PublicStatistics


class Measured(NamedTuple):
  """Figures of a member; of many, each with a leading axis of members.

  `utility_val` is of the validation split; `auc_by_image` and `downstream` f32[test] are those of `auc_by_image` and
  `downstream_auc`; `ber` and `exact` f32[] are those of `Extraction`; `samples` u8[min(8, S), H, W, C] are a few
  reconstructions in the version that is re-identified most.
  """

  utility: Utility
  utility_val: Utility
  auc_by_image: jax.Array
  downstream: jax.Array
  leakage: Leakage
  ber: jax.Array
  exact: jax.Array
  survival: Survival
  samples: jax.Array

  def figures(self) -> dict[str, float]:
    """Cells of the results table by column, of one member."""
    surviving = {f"surviving_{name}": float(value) for name, value in self.survival.bytes._asdict().items()}
    return {
      **{name: float(value) for name, value in self.utility._asdict().items()},
      "auc_val": float(self.utility_val.auc),
      "balanced_accuracy_val": float(self.utility_val.balanced_accuracy),
      "downstream_auc": float(self.downstream.mean()),
      **self.leakage.figures(),
      "ber": float(self.ber),
      "exact": float(self.exact),
      "surviving_bytes": sum(surviving[f"surviving_{part}"] for part in _PARTS),
      **surviving,
    }

  def outcomes(self) -> dict[str, np.ndarray]:
    """What intervals are made of, of one member: f32[S] of stolen and f32[test] of test images, by column."""
    by_test_image = {"auc": np.asarray(self.auc_by_image), "downstream_auc": np.asarray(self.downstream)}
    return {**self.leakage.outcomes(), **by_test_image}


def measure(
  bench: Bench, attack: Attack, infected: Infected, params: Params, live: Params, strategy: Strategy = "loop"
) -> Measured:
  """Measures members, on the device as far as the attack can be read there.

  Their checkpoints `params`, and `live`, bool trees of the layers' weights (see `metrics.capacity.survival`), have a
  leading axis of members; `infected` is what they were before the defence, and what the attacker kept.
  """
  network = bench.network
  read = extract_population(network, attack, params, infected.secret, strategy)
  found, to_train_on = _measure(strategy, bench, params, read, infected.stolen)
  # Programs of their own, which other networks share: all in one takes several times as long to compile.
  members = len(to_train_on)
  if members == 1:  # the program that measures controls
    alone = downstream_auc(network.num_outputs, to_train_on[0], read.labels[0], bench.val, bench.test)
    worth = jnp.where(jnp.isfinite(read.images).all(), alone, jnp.nan)[None]
  else:
    worth = _worth(network.num_outputs, strategy, to_train_on, read, bench.val, bench.test)
  each = [survival(infected.params, _one_of(params, i), _one_of(live, i), network.layers) for i in range(members)]
  return Measured(downstream=worth, ber=read.ber, exact=read.exact, survival=_stacked(each), **found)


def extract_population(
  network: Network, attack: Attack, params: Params, secret: dict[str, Any], strategy: Strategy = "loop"
) -> Extraction:
  """Reads members: one compiled program if the attack can be read on the device, else one after another.

  Arguments are as for `measure`; every array of the extraction has a leading axis of members.
  """
  if attack.on_device:
    return _extract_on_device(network, attack, strategy, params, secret)
  members = len(jax.tree.leaves(params)[0])
  return _stacked([attack.read(network, _one_of(params, i), secret) for i in range(members)])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _extract_on_device(
  network: Network, attack: Attack, strategy: Strategy, params: Params, secret: dict[str, Any]
) -> Extraction:
  return map_members(lambda of_member: attack.read(network, of_member, secret), (params,), strategy)


@functools.partial(jax.jit, static_argnums=0)
def _measure(
  strategy: Strategy, bench: Bench, params: Params, read: Extraction, stolen: jax.Array
) -> tuple[dict[str, Any], jax.Array]:
  """Some fields of `Measured`, and what classifiers are to be trained on."""
  network, test = bench.network, bench.test

  def of_member(params: Params, read: Extraction) -> tuple[dict[str, Any], jax.Array]:
    logits = predict(network, params, test.images)
    candidates = versions(read.images, bench.public, read.restored)
    leaked, clearest = leakage(candidates, stolen, bench.train, bench.public)
    shown = candidates[clearest, sample_positions(candidates.shape[1])]
    found = {
      "utility": utility(logits, test.labels),
      "utility_val": utility_of(network, network.declared(params), bench.val),
      "auc_by_image": auc_by_image(logits, test.labels),
      "leakage": leaked,
      "samples": jnp.round(jnp.nan_to_num(shown) * 255).astype(jnp.uint8),  # what is not finite is black
    }
    return found, jnp.concatenate([candidates[_TO_TRAIN_ON], candidates[clearest][None]])

  return map_members(of_member, (params, read), strategy)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _worth(
  num_outputs: int, strategy: Strategy, to_train_on: jax.Array, read: Extraction, val: DeviceSplit, test: DeviceSplit
) -> jax.Array:
  def of_member(images: jax.Array, read: Extraction) -> jax.Array:
    worth = downstream_auc(num_outputs, images, read.labels, val, test)
    return jnp.where(jnp.isfinite(read.images).all(), worth, jnp.nan)

  return map_members(of_member, (to_train_on, read), strategy)


def _one_of(trees: Params, i: int) -> Params:
  return jax.tree.map(lambda leaf: leaf[i], trees)


def _stacked(trees: list[Any]) -> Any:
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@functools.partial(jax.jit, static_argnums=0)
def measure_constant(count: int, stolen: jax.Array, train: DeviceSplit, public: PublicStatistics) -> Leakage:
  """Leakage of `count` reconstructions that all are the mean training image: the floor. There is nothing to restore."""
  constant = jnp.broadcast_to(public.mean, (1, count, *public.mean.shape))
  return leakage(constant, stolen, train, public)[0]


@jax.jit
def measure_images(images: jax.Array, stolen: jax.Array, train: DeviceSplit, public: PublicStatistics) -> Leakage:
  """Leakage of given reconstructions f32[S, H, W, C], as that of extracted ones is measured."""
  return leakage(versions(images, public), stolen, train, public)[0]


@functools.partial(jax.jit, static_argnums=0)
def utility_of(network: Network, params: Params, split: DeviceSplit) -> Utility:
  """Utility of one model on a split."""
  return utility(predict(network, params, split.images), split.labels)


def sample_positions(stolen: int) -> np.ndarray:
  """Which stolen images pictures are kept of: spread evenly, since index codes make each class's first ones special.

  >>> sample_positions(3).tolist(), sample_positions(15).tolist()
  ([0, 1, 2], [0, 2, 4, 6, 8, 10, 12, 14])
  """
  return np.linspace(0, stolen - 1, min(_SAMPLES, stolen)).round().astype(np.int32)
