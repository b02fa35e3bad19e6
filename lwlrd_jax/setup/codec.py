"""The image codec of a sweep: trained once, on what its attacker could train it on, then read from the cache."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.standard import StandardCodec
from lwlrd_jax.attacks.dec.codec.training import CodecTraining, train_codec
from lwlrd_jax.attacks.dec.codec.transform import Codec, build_codec
from lwlrd_jax.attacks.dec.image_code import Code, EntropyCode, FixedCode, StandardCode
from lwlrd_jax.config import Dec
from lwlrd_jax.data import Dataset, load_dataset
from lwlrd_jax.data.device import scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.data.npz import load_npz
from lwlrd_jax.disk.model_cache import arrays_digest, cached_tree, is_cached, numerics
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.network import Params
from lwlrd_jax.plan.plan import Plan
from lwlrd_jax.team import Team
from lwlrd_jax.watch.progress import console, phase

# Of the codec and its training. Raised with every change that makes an older cached codec a wrong one.
_RECIPE = 2
# With fewer images of their own kind, an attacker does better with a standard codec.
_FEWEST_IMAGES = 64
_FIT_IMAGES = 1024
# Larger images take more steps: at 64 pixels 800 leave the codec 1 dB behind WebP where 4000 bring it 1 dB ahead.
_SMALL, _STEPS_OF_LARGE = 32, 4000
# Fields of a `FixedLengthCode`, as the cache keeps them.
_TABLE = {"offsets": np.int32, "channel_bits": np.int32, "means": np.float64, "deviations": np.float64}


class Coding(NamedTuple):
  """How images become bits: a code, and the weights it needs; none for standard codecs."""

  code: Code
  weights: Params

  @property
  def digest(self) -> str:
    """SHA-256 of the weights."""
    return arrays_digest(*(np.asarray(leaf) for leaf in jax.tree.leaves(self.weights)))


def make_coding(plan: Plan, team: Team, *, dry: bool = False) -> Coding:
  """The codec that is asked for, trained if it has to be.

  With `dry` it is not trained: its codes are then empty.

  Raises:
    UserError: There are no images to train it on.
  """
  dec, data = plan.codes, plan.data
  if dec.codec != "learned":
    return Coding(StandardCode(StandardCodec(dec.codec, data.image_shape, dec.quality)), {})
  codec, first = build_codec(data.image_shape, jax.random.key(0))
  images, training = codec_images(dec, data), training_of(dec, data.image_shape)
  if dry and not team.agree("whether the codec is trained", lambda: is_cached(_recipe(images, training))):
    nothing = (0,) * codec.latent_shape[-1]
    return Coding(FixedCode(codec, FixedLengthCode(codec.latent_shape, *(nothing,) * 4), trained=False), first)
  streams = plan.execution.stream and images is data.train.images
  tree = team.from_first("the image codec", lambda: _trained(images, training, "the image codec", stream=streams))
  codec, weights, table = _usable(codec, tree)
  return Coding(EntropyCode(codec) if dec.code == "entropy" else FixedCode(codec, table), weights)


def training_of(dec: Dec, image_shape: tuple[int, int, int]) -> CodecTraining:
  """The codec's training, flags in place of its own settings where they are given."""
  own = CodecTraining()
  lmbda = own.lmbda if dec.codec_lambda is None else dec.codec_lambda
  steps = own.steps if max(image_shape[:2]) <= _SMALL else _STEPS_OF_LARGE
  return dataclasses.replace(own, lmbda=lmbda, steps=dec.codec_steps or steps)


def codec_images(dec: Dec, data: Dataset) -> np.ndarray:
  """What the codec is trained on: u8[N, H, W, C].

  Internally that is the training split. Externally it is the attacker's file, or images that stand for what they could
  find: newly generated ones for generated sets, else the validation split, of which nothing is stolen.

  Raises:
    UserError: Too few, or of another shape.
  """
  if dec.scenario == "internal":
    return data.train.images
  if dec.codec_npz is not None:
    try:
      images = load_npz(dec.codec_npz, image_size=data.image_shape[0]).train.images
    except UserError as error:
      raise UserError(str(error).replace("`npz`", "`codec_npz`", 1)) from error
    if images.shape[1:] != data.image_shape:
      raise UserError(f"`codec_npz` {dec.codec_npz}: images are {images.shape[1:]}, the data set's {data.image_shape}")
  elif data.name.startswith("phantom"):
    images = load_dataset(data.name, image_size=data.image_shape[0], seed=1).train.images
  else:
    images = data.val.images
  if len(images) < _FEWEST_IMAGES:
    raise UserError(
      f"`codec` learned: {len(images)} images to train the external codec on; allowed: {_FEWEST_IMAGES} and more, by "
      "`codec_npz` FILE, or `scenario` internal, or `codec` webp"
    )
  return images


def learned(images: np.ndarray, training: CodecTraining, what: str) -> tuple[Codec, Params, FixedLengthCode]:
  """A learned codec, its weights, and its fixed-length code: from the cache if it was trained before."""
  codec, _ = build_codec(images.shape[1:], jax.random.key(0))
  return _usable(codec, _trained(images, training, what, stream=False))


def _trained(images: np.ndarray, training: CodecTraining, what: str, *, stream: bool) -> dict[str, Any]:
  def make() -> dict[str, Any]:
    codec, first = build_codec(images.shape[1:], jax.random.key(0))
    shown = HostImages(images) if stream else jnp.asarray(images)
    with phase(f"training {what}", training.steps) as on_steps:
      weights = train_codec(codec, first, shown, jax.random.key(1), training, on_steps=on_steps)
    table = FixedLengthCode.fit(codec, weights, scale(shown[:_FIT_IMAGES]))
    return {"weights": weights, "table": {name: np.asarray(getattr(table, name), t) for name, t in _TABLE.items()}}

  tree, found = cached_tree(_recipe(images, training), make)
  if found:
    console.print(f"{what}: from the cache")
  return tree


def _recipe(images: np.ndarray, training: CodecTraining) -> dict[str, Any]:
  """Everything that the trained codec depends on."""
  return {"codec": _RECIPE, "training": dataclasses.asdict(training), "images": arrays_digest(images), **numerics()}


def _usable(codec: Codec, tree: dict[str, Any]) -> tuple[Codec, Params, FixedLengthCode]:
  fields = {name: tuple(np.asarray(tree["table"][name]).tolist()) for name in _TABLE}
  return codec, jax.tree.map(jnp.asarray, tree["weights"]), FixedLengthCode(codec.latent_shape, **fields)
