"""Networks of a user's file: what is taken, and what every mistake says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.models import build_model, build_network
from lwlrd_jax.models.identity import identity

pytestmark = pytest.mark.newest
GOOD = """
import math
from flax import nnx
import jax.numpy as jnp

class Net(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.shape = image_shape
    self.first = nnx.Linear(math.prod(image_shape), 8, rngs=rngs)
    self.last = nnx.Linear(8, num_outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(nnx.relu(self.first(images.reshape(len(images), -1))))

  def transpose(self, codes):
    return (nnx.relu(codes @ self.last.kernel[...].T) @ self.first.kernel[...].T).reshape(-1, *self.shape)

def wide(image_shape, num_outputs, *, rngs):
  return Net(image_shape, num_outputs, rngs=rngs)
"""


@pytest.fixture
def model(tmp_path):
  def make(text, name="Net"):
    file = tmp_path / "net.py"
    file.write_text(text)
    return f"{file}:{name}"

  return make


def build(name):
  return build_model(name, (4, 4, 1), 3, jax.random.key(0))


@pytest.mark.parametrize("name", ["Net", "wide"])
def test_a_class_or_a_function(model, name):
  network, params = build(model(GOOD, name))
  assert network.layers == ("first", "last")
  assert network.reversible
  assert build_network(model(GOOD, name), (4, 4, 1), 3) == network
  images = jnp.asarray(np.random.default_rng(0).random((2, 4, 4, 1)), jnp.float32)
  hidden = np.maximum(np.asarray(images).reshape(2, 16) @ params["first"]["kernel"] + params["first"]["bias"], 0)
  expected = hidden @ params["last"]["kernel"] + params["last"]["bias"]
  np.testing.assert_allclose(network.forward(params, images), expected, rtol=1e-5, atol=1e-6)
  codes = jnp.eye(3, dtype=jnp.float32)
  stages = network.transpose_stages(params, codes)
  assert len(stages) == 1  # it does not say what its layers make
  np.testing.assert_array_equal(stages[0], network.transpose(params, codes))
  other = build_model(model(GOOD, name), (4, 4, 1), 3, jax.random.key(1))[1]
  assert not np.array_equal(other["first"]["kernel"], params["first"]["kernel"])


def test_without_a_way_back(model):
  network, _ = build(model(GOOD.replace("def transpose", "def something")))
  assert not network.reversible


def test_another_text_is_another_model(model):
  first = identity(model(GOOD), (4, 4, 1), 3)
  assert build(model(GOOD))[1]["first"]["kernel"].shape == (16, 8)
  second = identity(model(GOOD.replace("8", "9")), (4, 4, 1), 3)
  assert build(model(GOOD.replace("8", "9")))[1]["first"]["kernel"].shape == (16, 9)
  assert first != second
  assert first.startswith("Net-")
  assert identity("mlp", (4, 4, 1), 3) == "mlp"


def test_a_kernel_is_whatever_multiplies(model):
  text = (
    GOOD
    + """
class Named(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.w = nnx.Param(jnp.ones((16, num_outputs)))
    self.small = nnx.Param(jnp.ones(num_outputs))

  def __call__(self, images):
    return images.reshape(len(images), -1) @ self.w[...] * self.small[...]
"""
  )
  network, params = build(model(text, "Named"))
  assert {layer: list(entries) for layer, entries in params.items()} == {"small": ["small"], "w": ["kernel"]}
  assert network.kernels == ("w",)
  np.testing.assert_array_equal(network.forward(params, jnp.ones((1, 4, 4, 1))), np.full((1, 3), 16))


@pytest.mark.parametrize(
  ("change", "name", "says"),
  [
    (("class Net", "class Other"), "Net", "the file has no Net; it has Other"),
    (("import math", "import maths"), "Net", "the file cannot be run (ModuleNotFoundError: No module named 'maths')"),
    (("class Net", "class ("), "Net", "the file cannot be run (SyntaxError: "),
    (("num_outputs, *, rngs", "*, rngs"), "Net", "cannot be built (TypeError: Net.__init__() takes"),
    (("return Net(", "return dict("), "wide", "cannot be built (TypeError: dict expected"),
    (("return Net(image_shape, num_outputs, rngs=rngs)", "return 3"), "wide", "makes a int; allowed: FILE.py:NAME"),
    (("len(images), -1", "3, 3"), "Net", "cannot be called on images float32[2, 4, 4, 1] (TypeError: "),
    (("return self.last(", "return ("), "Net", "called on images float32[2, 4, 4, 1] makes float32[2, 8]; allowed"),
    (("*self.shape)", "4)"), "Net", "transposed on codes float32[2, 3] makes float32[8, 4]; allowed"),
    (
      ("nnx.relu(self.first(", "nnx.relu(self.norm(self.first("),
      "Net",
      "cannot be called on images float32[2, 4, 4, 1] (AttributeError",
    ),
    (
      ("self.shape = image_shape", "self.shape, self.seen = image_shape, nnx.Cache(jnp.zeros(2))"),
      "Net",
      "seen is a Cache, which changes as the model is used; allowed: nnx.Param, nnx.BatchStat",
    ),
    (
      ("8, num_outputs, rngs=rngs", "8, num_outputs, param_dtype=jnp.bfloat16, rngs=rngs"),
      "Net",
      "last.bias is of bfloat16; allowed: float32",
    ),
  ],
)
def test_mistakes_are_one_line(model, change, name, says):
  text = GOOD.replace(*change)
  if "self.norm(self" in text:
    text = text.replace("-1))))", "-1)))))")
  named = model(text, name)
  with pytest.raises(UserError) as caught:
    build(named)
  line = str(caught.value)
  assert line.startswith(f"`model` {named}: ")
  assert says in line
  assert "\n" not in line


def test_no_such_file():
  with pytest.raises(UserError, match="there is no such file"):
    build("nowhere.py:Net")


def test_a_loop_without_a_gradient_is_one_line(model):
  """JAX differentiates loops whose number of turns is known; one that has none of the parameters needs no gradient."""
  loop = "jax.lax.while_loop(lambda v: jnp.abs(v).max() > 1, lambda v: v / 2, {})"
  text = GOOD.replace("import math", "import math, jax")
  build(model(text.replace("(images.reshape", f"({loop.format('images')}.reshape")))
  text = text.replace(
    "nnx.relu(self.first(images.reshape(len(images), -1)))", loop.format("self.first(images.reshape(len(images), -1))")
  )
  with pytest.raises(UserError) as caught:
    build(model(text))
  (line,) = str(caught.value).splitlines()
  assert "cannot be differentiated (ValueError: Reverse-mode differentiation does not work for lax.while_loop" in line


@pytest.mark.parametrize("made", ["ResNet, channels=4, stages=(1, 1)", "ResNet, channels=4, stages=(1,)"])
def test_one_with_running_statistics(model, made):
  text = (
    f"import functools\nfrom lwlrd_jax.models.architectures.resnet import ResNet\nNet = functools.partial({made})\n"
  )
  network = build_network(model(text), (12, 12, 1), 3)
  assert network.reversible
