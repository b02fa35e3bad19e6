"""Every kind of network, and one whose loops and branches JAX traces, end to end at a tiny size."""

import numpy as np
import pytest

import lwlrd_jax
from lwlrd_jax.models import MODELS
from lwlrd_jax.sweep import main

FILE = """
import functools, math
import jax
import jax.numpy as jnp
from flax import nnx
from lwlrd_jax.models.architectures.cnn import CNN
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.architectures.vit import ViT

mlp = functools.partial(MLP, width=16)
cnn = functools.partial(CNN, channels=2, width=16)
resnet18 = functools.partial(ResNet, channels=4, stages=(1, 1))
vit = functools.partial(ViT, width=16, depth=2, heads=2, hidden=32)


class Loops(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.shape = image_shape
    self.first = nnx.Linear(math.prod(image_shape), 32, rngs=rngs)
    self.fori, self.scan, self.cond = (nnx.Linear(32, 32, rngs=rngs) for _ in range(3))
    self.last = nnx.Linear(32, num_outputs, rngs=rngs)

  def middle(self, h):
    h = jax.lax.fori_loop(0, 2, lambda _, v: nnx.relu(self.fori(v)), h)
    h = jax.lax.scan(lambda v, _: (nnx.relu(self.scan(v)), None), h, length=2)[0]
    return jax.lax.cond(h.mean() > -1, lambda v: nnx.relu(self.cond(v)), lambda v: v, h)

  def __call__(self, x):
    x = x.reshape(len(x), -1)
    x = jax.lax.while_loop(lambda v: jnp.abs(v).max() > 1, lambda v: v / 2, x)
    return self.last(self.middle(nnx.relu(self.first(x))))

  def transpose(self, codes):
    h = jax.lax.map(lambda row: row @ self.last.kernel[...].T, codes)
    return (self.middle(h) @ self.first.kernel[...].T).reshape(len(codes), *self.shape)
"""
# With what each is swept: measuring takes most of the time, and what it does is the same for all.
KINDS = {
  "mlp": ["--attacks", "transpose", "--finish", "none,scrub"],
  "cnn": ["--attacks", "transpose", "--finish", "none"],
  "resnet18": ["--attacks", "transpose", "--finish", "none"],
  "vit": ["--attacks", "transpose", "--finish", "none"],
  "Loops": ["--attacks", "transpose,dec", "--finish", "none"],
}


def test_every_kind_is_here():
  assert {name.removesuffix("-small") for name in MODELS} <= set(KINDS)


@pytest.mark.newest
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep(kind, npz, tmp_path):
  file, out = tmp_path / "nets.py", tmp_path / "run"
  file.write_text(FILE)
  code = main(
    [
      *("--dataset", "npz", "--npz", str(npz), "--model", f"{file}:{kind}", "--out", str(out)),
      *("--carriers", "dictionary", "--codec", "webp", "--stolen", "4", *KINDS[kind]),
      *("--infect-steps", "8", "--infect-batch-size", "16", "--batch-size", "32", "--epochs", "1"),
      *("--decays", "0.5", "--lrs", "0.001", "--no-baselines"),
    ]
  )
  assert code == 0
  run = lwlrd_jax.load_run(out)
  assert set(run.results.status) == {"ok"}
  assert {"transpose", "none"} <= set(run.results.attack)
  assert np.isfinite(run.results.auc[run.results.defense == "lwlrd"]).all()
  if "transpose,dec" in KINDS[kind]:
    untreated = run.find(attack="dec-dictionary", defense="untreated")
    assert (untreated.ber, untreated.exact) == (0, 1)
  if kind == "Loops":
    layers = ["first", "fori", "scan", "cond", "last"]
    rates = run.config["members"][run.find(attack="transpose", decay=0.5).member]["peak_lr"]
    by_layer = dict(zip(run.config["layers"], rates, strict=True))
    assert [by_layer[layer] for layer in layers] == pytest.approx([0.001 * 0.5**depth for depth in range(5)])
