import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.dec.capacity import capacity
from lwlrd_jax.attacks.dec.carriers.base import Carrier, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.dictionary import ENTRY, Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.positions import kernels, layers_of, with_kernels
from lwlrd_jax.attacks.dec.carriers.spread import Spread
from lwlrd_jax.attacks.dec.carriers.trained import Signs, Values, bits_of, numbers_of
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.liveness import live_weights
from lwlrd_jax.models.network import split_model

CARRIERS: dict[str, Carrier] = {
  "all": Mantissa("all"),
  "early": Mantissa("early", 3, 9),
  "late": Mantissa("late", 0, 23),
  "dead": Dead(),
  "dictionary": Dictionary(),
  "signs": Signs(steps=8),
  "values": Values(steps=8),
  "spread": Spread(steps=8),
}


def quiet(steps: int) -> None:
  del steps


def read(carrier: Carrier, network, params, places, shape: Shape) -> Reading:
  reading = carrier.read(network, params, places, shape)
  assert reading is not None
  return reading


def message_of(count: int, seed: int = 0) -> Message:
  bits = np.random.default_rng(seed).integers(0, 2, count).astype(np.uint8)
  return Message(jnp.asarray(bits), Shape(count))


@pytest.fixture(scope="module")
def make(tiny_network, smooth_split):
  @functools.cache
  def built(name: str):
    network, params = tiny_network(name)
    return network, params, smooth_split(96)

  return built


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_message_of_any_size_up_to_the_capacity_comes_back(make, model, name):
  network, params, data = make(model)
  carrier = CARRIERS[name]
  room = carrier.capacity(network, params)
  for count in (1, room // 2, room) if model == "mlp" else (room,):  # every size is other programs
    message = message_of(count, seed=count)
    carried = carrier.write(network, params, message, data, jax.random.key(1), quiet)
    reading = jax.jit(lambda p, places, count=count: read(carrier, network, p, places, Shape(count)))(*carried)
    np.testing.assert_array_equal(reading.bits, message.bits)
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(carried.params))


@pytest.mark.parametrize("name", CARRIERS)
def test_more_than_the_capacity_is_refused(make, name):
  network, params, data = make("mlp")
  carrier = CARRIERS[name]
  too_much = message_of(carrier.capacity(network, params) + 23)
  with pytest.raises(ValueError, match=r"needed|double"):
    carrier.write(network, params, too_much, data, jax.random.key(1), quiet)


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# A new size or plane is another program each time.
@given(
  count=st.sampled_from([0, 1, 23, 400]),
  low=st.integers(0, 22),
  width=st.integers(1, 23),
  seed=st.integers(0, 999),
)
def test_mantissas_carry_any_message_in_any_planes(make, count, low, width, seed):
  network, params, data = make("mlp")
  carrier = Mantissa("all", low, min(low + width, 23))
  message = message_of(count, seed)
  if count > carrier.capacity(network, params):
    return
  carried = carrier.write(network, params, message, data, jax.random.key(seed), quiet)
  np.testing.assert_array_equal(
    read(carrier, network, carried.params, carried.places, message.shape).bits, message.bits
  )


# What a weight can be at its worst, beside ordinary ones.
CORNERS = [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, -1.1754944e-38, 3.4028235e38, -3.4028235e38, 1.0, -0.1]


@st.composite
def models(draw, corners: bool):
  """A network of any shape, its weights ordinary or at the corners of f32."""
  side = st.integers(1, 5)
  shape, outputs = (draw(side), draw(side), draw(st.sampled_from([1, 3]))), draw(st.integers(2, 5))
  model = MLP(shape, outputs, width=draw(st.integers(1, 12)), rngs=nnx.Rngs(params=draw(st.integers(0, 99))))
  network, params = split_model(model, shape, outputs)
  if not corners:
    return network, params
  rng = np.random.default_rng(draw(st.integers(0, 999)))
  return network, jax.tree.map(lambda w: jnp.asarray(rng.choice(CORNERS, w.shape), jnp.float32), params)


def data_for(network, count=24):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, *network.image_shape), np.uint8)
  return DeviceSplit(jnp.asarray(images), jnp.asarray(np.arange(count, dtype=np.int32) % network.num_outputs))


def comes_back(carrier, network, params, share: float, seed: int) -> None:
  """A random message that takes this share of the room returns exactly, and every weight stays a finite number."""
  data = data_for(network)
  message = message_of(int(share * carrier.capacity(network, params)), seed)
  carried = carrier.write(network, params, message, data, jax.random.key(seed), quiet)
  np.testing.assert_array_equal(
    read(carrier, network, carried.params, carried.places, message.shape).bits, message.bits
  )
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(carried.params))


PLANES = st.integers(0, 22).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 1, 23)))


@settings(max_examples=12, deadline=None)
@given(
  model=models(corners=True),
  carrier=st.one_of(
    st.builds(lambda where, planes: Mantissa(where, *planes), st.sampled_from(["all", "early", "late"]), PLANES),
    st.just(Dead()),
    st.just(Dictionary()),
  ),
  share=st.floats(0, 1),
  seed=st.integers(0, 999),
)
def test_any_payload_in_any_model_even_at_the_corners_of_f32(model, carrier, share, seed):
  network, params = model
  comes_back(carrier, network, params, share, seed)


@pytest.mark.slow  # every example is of another shape, and trains
@settings(max_examples=8, deadline=None)
@given(
  model=models(corners=False),
  carrier=st.sampled_from([Signs(steps=1), Values(steps=1), Spread(steps=1)]),
  share=st.floats(0, 1),
  seed=st.integers(0, 999),
)
def test_any_payload_in_any_model_that_is_trained_around_it(model, carrier, share, seed):
  network, params = model
  comes_back(carrier, network, params, share, seed)


@settings(max_examples=4, deadline=None)
@given(model=models(corners=True), carrier=st.sampled_from([Signs(steps=1), Values(steps=1), Spread(steps=1)]))
def test_carriers_that_train_refuse_what_would_end_in_nan(model, carrier):
  network, params = model
  data = data_for(network)
  message = message_of(carrier.capacity(network, params) // 2)
  try:
    carried = carrier.write(network, params, message, data, jax.random.key(0), quiet)
  except ValueError:
    return
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(carried.params))


def test_only_a_key_tells_the_places(make):
  network, params, data = make("mlp")
  one, other = (
    CARRIERS["all"].write(network, params, message_of(4000), data, jax.random.key(seed), quiet) for seed in (0, 1)
  )
  misread = read(CARRIERS["all"], network, one.params, other.places, Shape(4000))
  assert 0.4 < float((misread.bits != message_of(4000).bits).mean()) < 0.6


def test_mantissas_of_some_layers_leave_the_others_alone(make):
  network, params, data = make("mlp")
  for where, touched in (("early", network.layers[:2]), ("late", network.layers[2:])):
    carrier = Mantissa(where)
    carried = carrier.write(network, params, message_of(2000), data, jax.random.key(0), quiet)
    changed = {name for name in network.layers if (carried.params[name]["kernel"] != params[name]["kernel"]).any()}
    assert changed == set(touched)
    with pytest.raises(ValueError, match="numbers, not bytes"):
      capacity(Values(), network, params)
    assert capacity(carrier, network, params) == sum(params[name]["kernel"].size for name in touched)


def test_infinite_weights_are_refused(make):
  network, params, data = make("mlp")
  broken = {**params, "dense0": {**params["dense0"], "kernel": params["dense0"]["kernel"].at[0, 0].set(jnp.inf)}}
  with pytest.raises(ValueError, match="not finite"):
    CARRIERS["all"].write(network, broken, message_of(8), data, jax.random.key(0), quiet)


def test_dead_weights_say_nothing_and_get_no_gradient(make):
  network, params, data = make("mlp")
  message = message_of(23 * 144 * 2)
  carried = CARRIERS["dead"].write(network, params, message, data, jax.random.key(0), quiet)
  live = live_weights(network, carried.params, data.images)
  assert not np.asarray(live["dense0"]["kernel"]).reshape(-1)[np.asarray(carried.places["weights"])].any()
  retired = (carried.params["dense0"]["bias"] < -1e5).sum()
  assert retired == 2  # no more than the message needs


def test_a_message_in_the_dictionary_leaves_the_model_alone_and_is_gone_with_its_entry(make):
  network, params, data = make("mlp")
  carried = CARRIERS["dictionary"].write(network, params, message_of(99), data, jax.random.key(0), quiet)
  assert network.declared(carried.params).keys() == params.keys()
  bare = {name: entry for name, entry in carried.params.items() if name != ENTRY}
  assert CARRIERS["dictionary"].read(network, bare, {}, Shape(99)) is None


def test_values_carry_numbers_that_fade(make):
  network, params, data = make("mlp")
  shape = Shape(prefix=3, records=5, widths=(1, 4, 6))
  bits = jnp.asarray(np.random.default_rng(0).integers(0, 2, shape.bits).astype(np.uint8))
  carrier = Values(steps=5)
  carried = carrier.write(network, params, Message(bits, shape), data, jax.random.key(0), quiet)
  exact = read(carrier, network, carried.params, carried.places, shape)
  np.testing.assert_array_equal(exact.bits, bits)
  assert exact.numbers is not None
  assert exact.numbers.shape == (3 + 5 * 3,)
  flat = kernels(carried.params, network.layers)
  nudged = with_kernels(carried.params, network.layers, flat + 0.02 * jnp.std(flat))
  moved = read(carrier, network, nudged, carried.places, shape).numbers
  assert moved is not None
  assert 0 < float(jnp.abs(moved - exact.numbers).max()) < 2


def test_noise_below_a_half_leaves_numbers_of_one_bit_as_they_are(make):
  """Outwards as well: a number that has left its range is still nearest to its end."""
  network, params, data = make("mlp")
  message = message_of(2000)
  carried = Values(steps=2).write(network, params, message, data, jax.random.key(0), quiet)
  flat = kernels(carried.params, network.layers)
  at, reach = carried.places["weights"], carried.places["reach"]
  noisy = flat.at[at].add(0.3 * reach * jax.random.normal(jax.random.key(1), reach.shape))
  found = read(Values(), network, with_kernels(carried.params, network.layers, noisy), carried.places, message.shape)
  assert float((found.bits != message.bits).mean()) < 0.005
  assert found.numbers is not None
  spread = float(jnp.sqrt(jnp.square(found.numbers - message.bits.astype(jnp.float32)).mean()))
  assert spread == pytest.approx(0.15, rel=0.1)


def test_values_keep_the_held_weights_and_train_the_others(make):
  network, params, data = make("mlp")
  carrier = Values(steps=20)
  carried = carrier.write(network, params, message_of(50), data, jax.random.key(0), quiet)
  places = np.asarray(carried.places["weights"])
  before, after = (np.asarray(kernels(p, network.layers)) for p in (params, carried.params))
  np.testing.assert_allclose(np.abs(after[places]), np.asarray(carried.places["reach"]), rtol=1e-6)
  others = np.setdiff1d(np.arange(len(after)), places)
  assert (before[others] != after[others]).mean() > 0.5


@settings(max_examples=12, deadline=None)
@given(
  prefix=st.integers(0, 5),
  records=st.integers(0, 4),
  widths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
  seed=st.integers(0, 99),
)
def test_numbers_and_bits_are_one_message(prefix, records, widths, seed):
  shape = Shape(prefix, records, tuple(widths))
  bits = np.random.default_rng(seed).integers(0, 2, shape.bits).astype(np.uint8)
  numbers = numbers_of(jnp.asarray(bits), shape)
  assert len(numbers) == shape.numbers
  np.testing.assert_array_equal(bits_of(numbers, shape), bits)


def test_early_and_late_layers_part_a_model(make):
  network, params, _ = make("cnn")
  assert layers_of(network, "early") + layers_of(network, "late") == network.layers
  flat = kernels(params, network.layers)
  again = with_kernels(params, network.layers, flat)
  assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), params, again))
