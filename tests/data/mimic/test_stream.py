"""A prepared copy at full size, streamed from the host's memory into training."""

import time

import jax
import numpy as np
import pytest

from lwlrd_jax.data import stream
from lwlrd_jax.data.device import to_device
from lwlrd_jax.engine import loop, population
from lwlrd_jax.engine.member import Member
from lwlrd_jax.models import build_model
from tests.small_sweep import narrow

SIZE, BATCH, STEPS_PER_CALL, CALLS = 224, 8, 2, 4


@pytest.fixture(scope="module")
def tuned(shared, tmp_path_factory):
  """Two members fine-tuned with images on the device and on the host; when portions were read, and done with."""
  data = shared.load(size=SIZE, data_dir=tmp_path_factory.mktemp("prepared"))
  with narrow():
    network, params = build_model("cnn", data.image_shape, data.num_outputs, jax.random.key(0))
  schedules = np.full((2, CALLS * STEPS_PER_CALL, len(network.layers)), 1e-3, np.float32)
  schedules[1] *= 3
  asked, ended = [], []
  read = stream._Portions.__getitem__

  def noted(self, call):
    asked.append(time.monotonic())
    return read(self, call)

  def timed(*args):
    for item in stream.portions(*args):
      yield item
      ended.append(time.monotonic())

  def run(on_host):
    split, member = to_device(data.train, stream=on_host), Member(network, "adam", 0.0)
    mesh, key = population.member_mesh(jax.devices()[:1]), jax.random.key(0)
    return population.finetune(params, schedules, split, key, population.Finetuning(member, BATCH, mesh=mesh))

  with pytest.MonkeyPatch.context() as patch:
    resident = run(False)
    patch.setattr(stream, "_PORTION_BYTES", STEPS_PER_CALL * BATCH * SIZE**2)
    patch.setattr(stream._Portions, "__getitem__", noted)
    patch.setattr(loop, "portions", timed)
    streamed = run(True)
  return resident, streamed, asked, ended


def test_streamed_is_what_resident_is(tuned):
  resident, streamed, *_ = tuned
  jax.tree.map(np.testing.assert_array_equal, streamed, resident)


def test_images_are_read_while_training_goes_on(tuned):
  """All portions but the first are asked for before the one in front of them is done with."""
  *_, asked, ended = tuned
  assert len(asked) == len(ended) == CALLS
  assert all(early < late for early, late in zip(asked[1:], ended[:-1], strict=True))
