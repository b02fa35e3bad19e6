"""A prepared copy at full size, streamed from the host's memory into training."""

import statistics
import time

import jax
import numpy as np
import pytest

from lwlrd_jax.data import stream
from lwlrd_jax.data.device import to_device
from lwlrd_jax.engine import population
from lwlrd_jax.engine.member import Member
from lwlrd_jax.models import build_model

SIZE, BATCH, STEPS_PER_CALL, CALLS = 224, 8, 2, 4


@pytest.fixture(scope="module")
def tuned(shared, tmp_path_factory):
  """Two members fine-tuned with images on the device and on the host; how long each call waited for these, and took."""
  data = shared.load(size=SIZE, data_dir=tmp_path_factory.mktemp("prepared"))
  network, params = build_model("cnn", data.image_shape, data.num_outputs, jax.random.key(0))
  schedules = np.full((2, CALLS * STEPS_PER_CALL, len(network.layers)), 1e-3, np.float32)
  schedules[1] *= 3
  waited, ended = [], []

  def timed(*args):
    items = iter(stream.portions(*args))
    for _ in range(CALLS):
      started = time.monotonic()
      item = jax.block_until_ready(next(items))
      waited.append(time.monotonic() - started)
      yield item
      ended.append(time.monotonic() - started)

  def run(on_host):
    split, member = to_device(data.train, stream=on_host), Member(network, "adam", 0.0)
    mesh, key = population.member_mesh(jax.devices()[:1]), jax.random.key(0)
    return population.finetune(params, schedules, split, key, member=member, batch_size=BATCH, mesh=mesh)

  with pytest.MonkeyPatch.context() as patch:
    resident = run(False)
    patch.setattr(stream, "_PORTION_BYTES", STEPS_PER_CALL * BATCH * SIZE**2)
    patch.setattr(population, "portions", timed)
    streamed = run(True)
  return resident, streamed, waited, ended


def test_streamed_is_what_resident_is(tuned):
  resident, streamed, *_ = tuned
  jax.tree.map(np.testing.assert_array_equal, streamed, resident)


def test_training_hardly_waits_for_images(tuned):
  """The usual call; the first has nothing to read ahead of."""
  *_, waited, ended = tuned
  assert len(waited) == len(ended) == CALLS
  shares = [wait / whole for wait, whole in zip(waited[1:], ended[1:], strict=True)]
  assert statistics.median(shares) < 0.05
