import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.codec.transform import Codec, build_codec
from lwlrd_jax.models.network import Params


def _abstract(shape: tuple[int, int, int]) -> tuple[Codec, Params]:
  """A codec and the shapes of its parameters: drawing them takes seconds to compile."""
  codecs = []

  def draw(key: jax.Array) -> Params:
    codec, params = build_codec(shape, key)
    codecs.append(codec)
    return params

  params = jax.eval_shape(draw, jax.random.key(0))
  return codecs[0], params


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 20, 3), (28, 28, 3), (28, 28, 1), (64, 64, 1), (64, 64, 3)])
def test_shapes(shape: tuple[int, int, int]):
  codec, params = _abstract(shape)
  images = jnp.zeros((2, *shape))

  def run(params):
    latents = codec.analysis(params, images)
    hyper = codec.hyper_analysis(params, latents)
    return (
      latents,
      hyper,
      codec.hyper_synthesis(params, hyper),
      codec.synthesis({"synthesis": params["synthesis"]}, latents),
    )

  latents, hyper, (mean, deviation), decoded = jax.eval_shape(run, params)
  assert latents.shape == mean.shape == deviation.shape == (2, *codec.latent_shape)
  assert hyper.shape == (2, *codec.hyper_shape)
  assert decoded.shape == images.shape
  assert {x.dtype for x in (latents, hyper, mean, deviation, decoded)} == {jnp.dtype("float32")}
  assert max(codec.latent_shape[:2]) <= 8


def test_the_decoder_is_small():
  _, params = _abstract((28, 28, 3))
  assert sum(x.size for x in jax.tree.leaves(params["synthesis"])) <= 60_000


def test_equal_codecs_are_equal_static_arguments():
  one, _ = _abstract((12, 12, 1))
  other, _ = _abstract((12, 12, 1))
  assert one == other
  assert hash(one) == hash(other)


def test_scales_are_positive(trained):
  hyper = 50 * jax.random.normal(jax.random.key(0), (4, *trained.codec.hyper_shape))
  mean, deviation = trained.codec.hyper_synthesis(trained.params, hyper)
  assert float(deviation.min()) >= 0.11
  assert np.isfinite(np.asarray(mean)).all()


def test_too_small():
  with pytest.raises(ValueError, match="at least 8"):
    build_codec((7, 12, 1), jax.random.key(0))
