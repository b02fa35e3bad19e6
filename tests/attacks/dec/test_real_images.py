"""Many real images in trained models: hiding costs nothing, and scrubbing leaves nothing of mantissas."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.training import CodecTraining, train_codec
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.attacks.dec.image_code import FixedCode
from lwlrd_jax.attacks.dec.redundancy import Repeat
from lwlrd_jax.config import Finishing
from lwlrd_jax.data import Split, load_dataset
from lwlrd_jax.data.device import scale, to_device
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, finetune, member_mesh
from lwlrd_jax.metrics.measure import Bench, measure, measure_images, utility_of
from lwlrd_jax.metrics.postprocess import public_statistics
from lwlrd_jax.models import build_model
from lwlrd_jax.setup.finish import Finisher
from tests.small_sweep import narrow

pytestmark = pytest.mark.realdata

CARRIERS: dict[str, Carrier] = {
  "all": Mantissa("all"),
  "early": Mantissa("early"),
  "late": Mantissa("late"),
  "dead": Dead(),
}
CASES = [
  *(("mlp", "all", 200), ("mlp", "early", 200), ("mlp", "late", 100), ("mlp", "dead", 200)),
  *(pytest.param("cnn", carrier, stolen, marks=pytest.mark.slow) for carrier, stolen in (("dead", 200), ("all", 400))),
]


@pytest.fixture(scope="module", autouse=True)
def narrow_networks():
  """All that is hidden fits into narrow ones."""
  with narrow(256):
    yield


@pytest.fixture(scope="module")
def data(realdata):
  """Every fourth image of DermaMNIST."""
  whole = load_dataset("npz", npz=realdata / "dermamnist_rebuilt_28.npz")
  train, val, test = (Split(split.images[::4], split.labels[::4]) for split in (whole.train, whole.val, whole.test))
  return dataclasses.replace(whole, train=train, val=val, test=test)


@pytest.fixture(scope="module")
def coding(data):
  """A codec after a few steps: poorer pictures, the same bits to hide."""
  codec, first = build_codec(data.image_shape, jax.random.key(0))
  images = jnp.asarray(data.val.images)
  weights = train_codec(codec, first, images, jax.random.key(1), CodecTraining(steps=64))
  return FixedCode(codec, FixedLengthCode.fit(codec, weights, scale(images))), weights


@pytest.fixture(scope="module")
def train(data):
  return to_device(data.train)


@pytest.fixture(scope="module")
def host(data, train):
  @functools.cache
  def trained(model):
    network, params = build_model(model, data.image_shape, data.num_outputs, jax.random.key(0))
    population = finetune(
      params,
      np.full((1, 200 if model == "mlp" else 60, len(network.layers)), 1e-3),
      train,
      jax.random.key(1),
      Finetuning(Member(network, "adam", 0.0), 128, mesh=member_mesh(jax.local_devices()[:1])),
    )
    return network, jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), population.params)

  return trained


@pytest.mark.parametrize(("model", "carrier", "stolen"), CASES)
def test_hiding_costs_nothing_and_scrubbing_leaves_nothing(data, train, coding, host, model, carrier, stolen):
  network, params = host(model)
  code, weights = coding
  test, public = to_device(data.test), public_statistics(train)
  attack = DEC(stolen, CARRIERS[carrier], code, Repeat(1))
  infected = attack.infect_all(Task(network, train, codec=weights), [params], [jax.random.key(2)])[0]
  finisher = Finisher(network, params, train, to_device(data.val), Finishing(scrub_loss=0.01))
  scrubbed = finisher.apply(("scrub",), infected.params, jax.random.key(3))
  assert scrubbed.scrubbed is not None
  assert scrubbed.scrubbed.kept == ()
  live = finisher.live(infected.params).live

  bench = Bench(network, train, to_device(data.val), test, public)

  def measured(of_model):
    one, alive = (jax.tree.map(lambda leaf: leaf[None], tree) for tree in (of_model, live))
    return measure(bench, attack, infected, one, alive)

  before, after = measured(infected.params), measured(scrubbed.params)
  assert float(before.utility.auc[0]) == pytest.approx(float(utility_of(network, params, test).auc), abs=0.002)
  assert (float(before.ber[0]), float(before.exact[0])) == (0, 1)
  originals = np.asarray(train.images[infected.stolen])
  own = measure_images(attack.compressed(weights, originals), infected.stolen, train, public)
  assert float(before.leakage.psnr.mean()) == pytest.approx(float(own.psnr.mean()), abs=1e-3)
  assert float(before.leakage.reid.mean()) > 0.9
  assert float(after.ber[0]) == pytest.approx(0.5, abs=0.01)
  assert float(after.leakage.reid.mean()) <= 0.01
  assert float(after.survival.bytes.mantissa[0]) < 0.01 * float(before.survival.bytes.mantissa[0])
  assert float(after.survival.bytes.dead[0]) < 0.005 * max(float(before.survival.bytes.dead[0]), 1e4)
