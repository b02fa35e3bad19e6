"""What a user's file may do while it is run, what its modules may hold, and how many images they have to take."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.models import build_model, build_network
from lwlrd_jax.models.identity import identity
from lwlrd_jax.models.own import check_training

SHAPE = (4, 4, 1)
NET = """
import math
from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

class Net(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.first = nnx.Linear(math.prod(image_shape), 8, rngs=rngs)
    self.last = nnx.Linear(8, num_outputs, rngs=rngs)
    EXTRA

  def __call__(self, images):
    x = images.reshape(len(images), -1)
    FORWARD
    return self.last(nnx.relu(self.first(x)))
"""


@pytest.fixture
def write(tmp_path):
  """Writes a file, with lines before everything, in the constructor and in the forward pass; says what names it."""

  def write(before="", extra="pass", forward="pass", name="net.py"):
    file = tmp_path / name
    file.write_text(before + NET.replace("EXTRA", extra).replace("FORWARD", forward))
    return f"{file}:Net"

  return write


def build(model, seed=0):
  return build_model(model, SHAPE, 3, jax.random.key(seed))


def line_of(call, *arguments):
  with pytest.raises(UserError) as caught:
    call(*arguments)
  line = str(caught.value)
  assert "\n" not in line
  return line


ARGPARSE = "import argparse; p = argparse.ArgumentParser(); p.add_argument('--lr', required=True); p.parse_args()\n"


@pytest.mark.parametrize(
  ("code", "says"),
  [
    (ARGPARSE, "(SystemExit: 2 net.py: error: the following arguments are required: --lr) in line 1; allowed: a file"),
    ("import sys; sys.exit()\n", "the file cannot be run (SystemExit: no message"),
    ("raise GeneratorExit('enough')\n", "the file cannot be run (GeneratorExit: enough) in line 1"),
    ("\n\nimport nowhere\n", "No module named 'nowhere') in line 3"),
    ("from .layers import wide\n", "ImportError: attempted relative import"),
  ],
)
def test_what_a_file_cannot_do(write, capsys, code, says):
  before = sys.argv, list(sys.path), sys.stderr
  line = line_of(build, write(code))
  assert line.startswith("`model` ")
  assert "net.py:Net: " in line
  assert says.removeprefix("(") in line
  assert capsys.readouterr().err == ""
  assert (sys.argv, list(sys.path), sys.stderr) == before


def test_what_is_no_text(tmp_path):
  (tmp_path / "net.py").write_bytes(b"x = '\xff\xfe'\n")
  assert "the file cannot be run (SyntaxError: " in line_of(build, f"{tmp_path}/net.py:Net")


def test_a_constructor_that_ends_the_program(write, capsys):
  line = line_of(build, write(extra="import argparse; argparse.ArgumentParser().error('no width')"))
  assert "net.py:Net: cannot be built (SystemExit: 2 net.py: error: no width) in line 12" in line
  assert capsys.readouterr().err == ""


def test_ctrl_c_is_the_users(write):
  with pytest.raises(KeyboardInterrupt):
    build(write("raise KeyboardInterrupt\n"))


def test_it_is_run_as_a_script_without_arguments(write, capsys):
  code = (
    "import argparse, sys, logging\n"
    "assert len(sys.argv) == 1 and sys.argv[0].endswith('net.py') and __name__ != '__main__'\n"
    "p = argparse.ArgumentParser(); p.add_argument('--width', default=8); args = p.parse_args()\n"
    "print('to whom it may concern', file=sys.stderr)\n"
    "log = logging.getLogger('own'); log.addHandler(logging.StreamHandler())\n"
  )
  network, _ = build(write(code, extra="log.warning('built')"))
  assert network.layers == ("first", "last")
  assert "to whom it may concern\n" in (said := capsys.readouterr().err)
  assert "built\n" in said


def test_annotations_of_dataclasses(write):
  code = (
    "from __future__ import annotations\nimport dataclasses, typing\n@dataclasses.dataclass\nclass Shape:\n"
    "  width: int = 8\n  kind: typing.ClassVar[int] = 3\n"
  )
  assert build(write(code, extra="self.width = Shape().width"))[0].layers == ("first", "last")


def test_files_beside_it(write, tmp_path):
  code = "from parts import scaled\n"
  model = write(code, forward="import late; x = scaled(x) * late.ONE")
  (tmp_path / "late.py").write_text("ONE = 1.0\n")
  (tmp_path / "parts.py").write_text("def scaled(x):\n  return 2 * x\n")
  network, params = build(model)
  images = jnp.asarray(np.random.default_rng(0).random((2, *SHAPE)), jnp.float32)
  doubled, first = network.forward(params, images), identity(model, SHAPE, 3)
  assert identity(model, SHAPE, 3) == first
  # Another file in another folder has parts of its own, and so has this one after a change.
  (tmp_path / "parts.py").write_text("def scaled(x):\n  return 2 * x + 0.5  # changed\n")
  network, params = build(model)
  assert not np.allclose(network.forward(params, images), doubled)
  second = identity(model, SHAPE, 3)
  assert second != first
  assert second.split("-")[:2] == first.split("-")[:2]  # the file itself is what it was
  assert str(tmp_path) != sys.path[0]


def test_what_comes_from_elsewhere_makes_another_network(write, monkeypatch):
  model = write(extra="import os; self.scale = float(os.environ['OWN_SCALE'])", forward="x = x * self.scale")
  seen = set()
  for scale in ("1", "2", "1"):
    monkeypatch.setenv("OWN_SCALE", scale)
    seen.add(identity(model, SHAPE, 3))
  assert len(seen) == 2
  wide = write(extra="import os; self.last = nnx.Linear(8, 3, rngs=rngs, kernel_init=nnx.initializers.zeros)")
  assert identity(wide, SHAPE, 3) != identity(write(), SHAPE, 3)


@pytest.mark.parametrize(
  ("extra", "forward"),
  [
    ("self.sizes = [8, 16]", "pass"),
    ("self.sizes = {'wide': 8}", "pass"),
    ("self.sizes = {8, 16}", "pass"),
    ("self.sizes = (8, [16])", "pass"),
    ("self.act = nnx.relu", "x = self.act(x)"),
    ("import types; self.cfg = types.SimpleNamespace(width=8)", "x = x * self.cfg.width"),
    ("self.more = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(2)])", "x = self.more[1](self.more[0](x))"),
    ("self.more = nnx.Dict(a=nnx.Linear(16, 16, rngs=rngs))", "x = self.more['a'](x)"),
    ("self.again = self.first", "x = x + 0 * self.again(x).sum()"),
    (
      "self.tied = nnx.Linear(16, 8, rngs=rngs); self.tied.kernel = self.first.kernel",
      "x = x + self.tied(x).sum(axis=1, keepdims=True)",
    ),
    ("self.mean = jnp.full(16, 0.5); self.half = np.float32(0.5)", "x = (x - self.mean) / self.half"),
    ("self.order = np.arange(16)[::-1]", "x = x[:, self.order.tolist()] if self.order[0] == 15 else x"),
    ("self.mask = jnp.arange(16) < 3", "x = jnp.where(self.mask, 0.0, x)"),
  ],
)
def test_what_a_module_may_hold(write, extra, forward):
  model = write(extra=extra, forward=forward)
  alone = build_network(model, SHAPE, 3)
  network, params = build(model)
  other, params_1 = build(model, seed=1)
  assert network == other
  assert hash(network) == hash(other)
  assert alone == network
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
  images = jnp.asarray(np.random.default_rng(0).random((2, *SHAPE)), jnp.float32)
  forward = jax.jit(lambda network, params: network.forward(params, images), static_argnums=0)
  expected = network.bind(params)(images)
  np.testing.assert_allclose(forward(network, params), expected, rtol=1e-5, atol=1e-6)
  assert not np.array_equal(forward(other, params_1), expected)
  assert forward._cache_size() == 1
  check_training(model, network, params, [2, 5], np.zeros(9, np.int64), "float32")
  assert identity(model, SHAPE, 3) == identity(model, SHAPE, 3)


@pytest.mark.parametrize(
  ("extra", "says"),
  [
    (
      "self.more = [nnx.Linear(2, 2, rngs=rngs)]",
      "assigned to static attribute 'more' of Pytree type '<class 'lwlrd_jax_model_",
    ),
    ("import types; self.cfg = types.SimpleNamespace(a=nnx.Linear(16, 8, rngs=rngs))", "cfg.a.kernel is in an object"),
    ("layer = nnx.Linear(16, 8, rngs=rngs); self.act = lambda x: layer(x)", "is in an object that Flax does not look"),
    ("self.drawn = jax.random.normal(rngs.params(), (3,))", "drawn is an array that rngs draw; allowed: nnx.Param, or"),
    ("self.key = jax.random.key(0)", "key is a random key; allowed: nnx.Rngs, whose keys are new at each step"),
    ("self.key = nnx.RngKey(jax.random.key(0), tag='own')", "key: a random state of no generator; allowed: nnx.Rngs"),
    ("self.mine = type('Mine', (nnx.Variable,), {})(jnp.ones(2))", "mine is a Mine, which changes as the model is"),
    ("self.steps = nnx.Param(jnp.int32(3))", "steps is of int32; allowed: float32"),
  ],
)
def test_what_it_may_not_hold(write, extra, says):
  line = line_of(build, write(extra=extra))
  assert says in line
  if "static" in line:
    assert line.endswith(" in line 12; allowed: nnx.List(...), nnx.Dict(...) or nnx.data(...) around it")


@pytest.mark.parametrize(
  ("forward", "says"),
  [
    (
      "assert len(x) % 2 == 0, 'even batches only'",
      "cannot be called on images float32[1, 4, 4, 1] (AssertionError: even batches only) in line 16; allowed: any num",
    ),
    ("x = x.reshape(32, -1)", "cannot be called on images float32[2, 4, 4, 1] (TypeError: "),
    ("assert len(x) < 500, 'too many'", "cannot be called on images float32[512, 4, 4, 1] (AssertionError: too many)"),
    ("x = jnp.squeeze(x)", "called on images float32[1, 4, 4, 1] makes float32[3]; allowed: float32[1, 3]"),
  ],
)
def test_any_number_of_images(write, forward, says):
  assert says in line_of(build, write(forward=forward))


@pytest.mark.parametrize(
  ("extra", "forward", "compute", "says"),
  [
    (
      "self.drop = nnx.Dropout(0.5, rngs=rngs)",
      "assert self.drop.deterministic or len(x) % 4 == 0, 'four at a time'",
      "float32",
      "cannot be trained on images float32[5, 4, 4, 1] in float32 (AssertionError: four at a time) in line 16",
    ),
    (
      "pass",
      "w = self.first.bias[...]; x = x + jax.pure_callback(lambda w: w, w, w).sum()",
      "float32",
      "cannot be differentiated (ValueError: Pure callbacks do not support JVP",
    ),
    (
      "pass",
      "x = jax.lax.fori_loop(0, 2, lambda i, h: h + x, jnp.zeros(x.shape, jnp.float32))",
      "bfloat16",
      "cannot be trained on images float32[4, 4, 4, 1] in bfloat16 (",
    ),
  ],
)
def test_what_fails_only_in_a_training_step(write, extra, forward, compute, says):
  model = write(extra=extra, forward=forward)

  def check():
    network, params = build(model)
    check_training(model, network, params, [5, 4], np.zeros(9, np.uint8), compute)

  assert says in line_of(check)
