"""A sweep of a network with dropout and batch normalisation, under attacks that train it each in their own way."""

import numpy as np

import lwlrd_jax
from lwlrd_jax.sweep import main

NET = """
import math
from flax import nnx

class Net(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.image_shape = image_shape
    self.first = nnx.Linear(math.prod(image_shape), 48, rngs=rngs)
    self.norm = nnx.BatchNorm(48, rngs=rngs)
    self.drop = nnx.Dropout(0.2, rngs=rngs)
    self.last = nnx.Linear(48, num_outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(self.drop(nnx.relu(self.norm(self.first(images.reshape(len(images), -1))))))

  def transpose(self, codes):
    return (nnx.relu(codes @ self.last.kernel[...].T) @ self.first.kernel[...].T).reshape(-1, *self.image_shape)
"""


def test_a_network_with_dropout_is_swept(npz, tmp_path):
  (tmp_path / "net.py").write_text(NET)
  data = ("--dataset", "npz", "--npz", str(npz), "--model", f"{tmp_path}/net.py:Net", "--out", f"{tmp_path}/run")
  attacks = ("--attacks", "rehearsed,dec", "--carriers", "signs", "--codec", "webp", "--stolen", "2")
  small = ("--decays", "0.5", "--no-baselines", "--epochs", "1", "--infect-steps", "20", "--batch-size", "32")
  assert main([*data, *attacks, *small, "--finish", "none,scrub"]) == 0
  run = lwlrd_jax.load_run(tmp_path / "run")
  assert set(run.results.status) == {"ok"}
  assert run.config["layers"] == ["first", "norm", "last"]
  # first: 144 x 48 + 48; norm: scale and bias; last: 48 x 3 + 3.
  assert run.config["layer_parameters"] == [6960, 96, 147]
  tuned, scrubbed = (run.find(attack="dec-signs", decay=0.5, finish=finish) for finish in ("none", "scrub"))
  assert np.isfinite([tuned.auc, scrubbed.auc]).all()
