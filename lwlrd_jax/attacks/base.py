"""What an attack is."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.registry import AttackInfo
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.engine.mapping import Strategy
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.recipes import Recipe
from lwlrd_jax.models.task_training import TaskTraining

OnSteps = Callable[[int], None]  # receives the number of training steps just finished


class Task(NamedTuple):
  """What attacks are run on."""

  network: Network
  train: DeviceSplit  # the training split, from which images are stolen
  public: DeviceSplit | None = None  # images of the same kind that the attacker has from elsewhere; None without any
  codec: Params | None = None  # weights of the attacker's image codec; None of codecs without any


class Infected(NamedTuple):
  """A model that carries stolen images, and what the attacker keeps to read them."""

  params: Params  # the weights that leave the data lake
  secret: dict[str, Any]  # what stays with the attacker: a tree of arrays
  stolen: jax.Array  # i32[S], the stolen images' positions in the training split


class Extraction(NamedTuple):
  """What an attacker reads out of a model; see `extraction` for attacks without a code."""

  images: jax.Array  # f32[S, H, W, C], raw
  # f32[], bit error rate of the embedded code, 0.5 if nothing of it is left; NaN for attacks without one
  ber: jax.Array
  exact: jax.Array  # f32[], share of the images whose code arrives without an error; NaN likewise
  labels: jax.Array  # i32[S], classes, or u8[S, K], 1 for a finding: what the attacker takes to be the images' labels
  # f32[R, S, H, W, C] in [0, 1], what the attacker's own restorations make of the images; R may be 0
  restored: jax.Array


def extraction(images: jax.Array, labels: jax.Array) -> Extraction:
  """Images and labels that were read without a code, and without a restoration of the attacker's own."""
  nothing = jnp.float32(jnp.nan)
  return Extraction(images, nothing, nothing, labels, unrestored(images))


def unrestored(images: jax.Array) -> jax.Array:
  """`Extraction.restored` of an attacker without a restoration of their own."""
  return jnp.zeros((0, *images.shape), images.dtype)


class NoRoomError(ValueError):
  """What is to be hidden takes more than there is room for: `needed` and `room`, in `unit`, `bits` or `weights`."""

  def __init__(self, needed: int, room: int, unit: str):
    super().__init__(f"{needed} {unit} are needed, there is room for {room}")
    self.needed, self.room, self.unit = needed, room, unit


class Attack(Protocol):
  """Hides training images in a model, and reads them back. Frozen and hashable: a static argument of `jax.jit`.

  A sweep calls what is here, and never asks which attack it has.
  """

  @property
  def name(self) -> str:
    """As in the results table's column `attack`."""

  @property
  def info(self) -> AttackInfo:
    """Its row of the registry."""

  @property
  def stolen(self) -> int:
    """How many images it takes."""

  @property
  def steps(self) -> int:
    """Training steps that it takes, 1 if it trains nothing."""

  @property
  def on_device(self) -> bool:
    """Whether `read` can be jitted, and vmapped over params."""

  @property
  def size_is_known(self) -> bool:
    """Whether it is known what it hides takes; with a codec only once that is trained."""

  def settings(self) -> dict[str, Any]:
    """All that what it does depends on, but for what it is given, as JSON."""

  def check(self, task: Task, params: Params, key: jax.Array) -> None:
    """Refuses what an infection with this key could not carry in such a network, trained or not.

    Raises:
      NoRoomError: It does not fit into the model.
      ValueError: Anything else.
    """

  def infect_all(
    self,
    task: Task,
    params: Sequence[Params],
    keys: Sequence[jax.Array],
    on_steps: OnSteps = lambda steps: None,
    strategy: Strategy | None = None,
  ) -> list[Infected]:
    """Trains or alters models so that they do their task and carry images; each is what it would be alone.

    Args:
      task: What they are infected on.
      params: Weights each starts from: of a trained model where `info.family.needs_host`.
      keys: Random key of each.
      on_steps: Of all together, or of one after another.
      strategy: How the device maps over models; `default_strategy` if None.

    Raises:
      ValueError: It cannot be done.
    """

  def columns(
    self, task: Task, host: Params | None, infected: Infected, psnr: Callable[[jax.Array], float]
  ) -> dict[str, float]:
    """Columns of the results table that only its untreated model has.

    Args:
      task: What it was run on.
      host: The model that it hid in; None if it trained one itself.
      infected: What it left.
      psnr: Of images f32[S, H, W, C] in [0, 1] that stand for the stolen ones, measured as of extracted ones.
    """

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """Reads the stolen images, and how much of their code is wrong."""


class PlainAttack:
  """What attacks without a code have in common; see `Attack`."""

  info: ClassVar[AttackInfo]
  on_device: ClassVar[bool] = True
  size_is_known: ClassVar[bool] = True

  @property
  def name(self) -> str:
    """See `Attack`."""
    return self.info.name

  def columns(self, *args: Any) -> dict[str, float]:
    """None. See `Attack`."""
    del args
    return {}


@dataclasses.dataclass(frozen=True)
class HostAttack(PlainAttack, abc.ABC):
  """What attacks have in common that hide in a trained model, and train nothing themselves.

  Subclasses have an attribute `info`, `hide` and `read`; with settings of their own they are frozen dataclasses.
  """

  steps: ClassVar[int] = 1
  stolen: int

  @abc.abstractmethod
  def hide(self, task: Task, params: Params, stolen: jax.Array) -> tuple[Params, dict[str, Any]]:
    """Hides images of these positions i32[S]: the weights that leave, and the secret. Raises as `Attack.check`."""

  def settings(self) -> dict[str, Any]:
    """See `Attack`."""
    return {"name": self.name, **vars(self)}

  def check(self, task: Task, params: Params, key: jax.Array) -> None:
    """See `Attack`."""
    self.hide(task, params, choose_stolen(task.train, self.stolen, key))

  def infect_all(
    self,
    task: Task,
    params: Sequence[Params],
    keys: Sequence[jax.Array],
    on_steps: OnSteps = lambda steps: None,
    strategy: Strategy | None = None,
  ) -> list[Infected]:
    """See `Attack`."""
    del strategy
    stolen = [choose_stolen(task.train, self.stolen, key) for key in keys]
    hidden = [self.hide(task, weights, images) for weights, images in zip(params, stolen, strict=True)]
    on_steps(1)
    return [Infected(*found, images) for found, images in zip(hidden, stolen, strict=True)]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Means:
  """What an attacker has, of which attacks are made."""

  stolen: int  # images to take
  training: TaskTraining
  recipe: Recipe  # rates of this kind of network
  public: int  # images of the same kind at hand from elsewhere
  steps_of: Callable[[int], int]  # training steps of an infection that memorises so many images
  check: Callable[[Attack], None]  # raises UserError where an attack cannot carry what it is to steal
  # Of attacks that need a codec: how images become bits, which mantissa planes may carry these (from the first up to
  # below the second), how they are protected, and whether the codec's decoder has to be hidden too.
  code: Any = None
  planes: tuple[int, int] = (0, 8)
  redundancy: Any = None
  internal: bool = False


def choose_stolen(data: DeviceSplit, count: int, key: jax.Array) -> jax.Array:
  """Which images an attack with this key steals, at random: i32[count]. Attacks of one seed steal the same ones.

  Raises ValueError if there are fewer images.
  """
  if not 1 <= count <= len(data):
    raise ValueError(f"1 to {len(data)} training images can be stolen, not {count}")
  return jax.random.choice(jax.random.fold_in(key, 0), len(data), (count,), replace=False).astype(jnp.int32)
