"""Networks of a user's own, named on the command line as FILE.py:NAME."""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lwlrd_jax.errors import UserError
from lwlrd_jax.models.network import Network, Params, split_model
from lwlrd_jax.models.task import Compute, task_gradient
from lwlrd_jax.stopping import Stopped
from lwlrd_jax.user.file import Held, as_script, imported_beside
from lwlrd_jax.user.model_name import ALLOWED, OwnModel, own_model

T = TypeVar("T")

_ALLOWED = "allowed: FILE.py:NAME, where NAME(image_shape, num_outputs, rngs=...) makes a flax.nnx.Module"
# Of images that a network is asked about: two first, which show what is wrong whatever their number.
_NUMBERS = (2, 1, 512)


def _digest(file: Path) -> str:
  return hashlib.sha256(file.read_bytes()).hexdigest()


def load_own(model: str) -> Callable[..., nnx.Module]:
  """What builds a model of a file; the file is run.

  Args:
    model: FILE.py:NAME.

  Returns:
    `build(image_shape, num_outputs, rngs=...)`. What it makes is checked; mistakes end in a `UserError` of one line.

  Raises:
    UserError: There is no such file or name, or the file cannot be run.
  """
  loaded = _loaded(model)

  def build(image_shape: tuple[int, int, int], num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
    with as_script(_own(model).file) as printed:
      module = _attempt(
        model, "cannot be built", lambda: loaded.found(image_shape, num_outputs, rngs=rngs), printed=printed
      )
    if not isinstance(module, nnx.Module):
      raise UserError(f"`model` {model}: makes a {type(module).__name__}; {_ALLOWED}")
    if (image_shape, num_outputs) not in loaded.checked:
      _check_variables(model, module)
      _check_hidden(model, module)
      _check_shapes(model, module, image_shape, num_outputs)
      _check_gradients(model, module, image_shape, num_outputs)
      loaded.checked.add((image_shape, num_outputs))
    return module

  return build


def split_own(
  model: str, module: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int
) -> tuple[Network, Params]:
  """As `split_model`, of what a user's file makes.

  Raises:
    UserError: What `split_model` refuses, and arrays that are drawn with the weights but are no parameters.
  """
  try:
    network, params = split_model(module, image_shape, num_outputs)
  except ValueError as error:
    raise UserError(f"`model` {model}: {error}") from error
  if network.constants:
    other = load_own(model)(image_shape, num_outputs, rngs=nnx.Rngs(1))
    others = dict(nnx.to_flat_state(nnx.state(other)))
    for path, constant in network.constants:
      if not np.array_equal(constant.value, others[path]):
        raise UserError(
          f"`model` {model}: {_place(path)} is an array that rngs draw; allowed: nnx.Param, or an array that is the "
          "same each time"
        )
  return network, params


def versions_of(model: str) -> tuple[str, ...]:
  """SHA-256 of a model's file, and of the files beside it that it imports."""
  return tuple(_loaded(model).files.values())


class _Loaded(NamedTuple):
  """A file that was run.

  Attributes:
    found: What the name means in it.
    files: SHA-256 of the file, first, and of those beside it that it imported.
    checked: Shapes of images and numbers of outputs for which what it makes was checked.
  """

  found: Callable[..., nnx.Module]
  files: dict[Path, str]
  checked: set[tuple[tuple[int, int, int], int]]


_runs: dict[str, _Loaded] = {}
# What files have imported from beside them.
_beside: dict[str, Path] = {}


def _own(model: str) -> OwnModel:
  own = own_model(model)
  if own is None or not own.file.is_file():
    raise UserError(f"`model` {model}: there is no such file; {ALLOWED}")
  return own


def _loaded(model: str) -> _Loaded:
  """The file, run once for each version of it and of what it imports from beside it."""
  own = _own(model)
  before = _runs.get(model)
  if before is None or any(not file.is_file() or _digest(file) != version for file, version in before.files.items()):
    _runs[model] = _run(model, own)
  return _runs[model]


def _run(model: str, own: OwnModel) -> _Loaded:
  source = own.file.read_bytes()
  name = f"lwlrd_jax_model_{hashlib.sha256(source).hexdigest()[:12]}"
  spec = importlib.util.spec_from_file_location(name, own.file)
  assert spec is not None  # of a file that ends in .py there is one
  module = importlib.util.module_from_spec(spec)
  # What another file, or an older version of this one, found beside itself may be something else here.
  for other in _beside:
    sys.modules.pop(other, None)
  _beside.clear()
  known = set(sys.modules)
  sys.modules[name] = module  # dataclasses look there for the module that they are defined in

  def execute() -> None:
    exec(compile(source, str(own.file), "exec", dont_inherit=True), vars(module))

  with as_script(own.file) as printed:
    _attempt(model, "the file cannot be run", execute, printed=printed)
  folder = own.file.resolve().parent
  if str(folder) not in sys.path:
    sys.path.append(str(folder))  # for what is imported only when it is needed; it hides nothing of ours
  _beside.update(imported_beside(own.file, known))
  found = getattr(module, own.name, None)
  if not callable(found):
    names = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, nnx.Module)]
    there = f"it has {', '.join(names)}" if names else "nor any flax.nnx.Module"
    raise UserError(f"`model` {model}: the file has no {own.name}; {there}")
  files = {own.file.resolve(): hashlib.sha256(source).hexdigest()}
  files |= {file: _digest(file) for file in sorted(set(_beside.values())) if file.is_file()}
  return _Loaded(found, files, set())


def _check_variables(model: str, module: nnx.Module) -> None:
  """Refuses what is no parameter, running statistic, random state or constant, and parameters of other types."""
  variables = nnx.to_flat_state(nnx.state(module))
  for path, variable in variables:
    place, kind = _place(path), type(variable).__name__
    if not isinstance(variable, nnx.Variable):  # a constant
      if jnp.issubdtype(variable.dtype, jax.dtypes.prng_key):
        raise UserError(f"`model` {model}: {place} is a random key; allowed: nnx.Rngs, whose keys are new at each step")
      continue
    if isinstance(variable, nnx.RngState):
      continue
    if not isinstance(variable, nnx.Param | nnx.BatchStat):
      raise UserError(
        f"`model` {model}: {place} is a {kind}, which changes as the model is used; allowed: nnx.Param, nnx.BatchStat, "
        "nnx.Rngs"
      )
    if getattr(variable.get_value(), "dtype", None) != jnp.float32:
      raise UserError(f"`model` {model}: {place} is of {_dtype(variable.get_value())}; allowed: float32")
  if not any(isinstance(variable, nnx.Param) for _, variable in variables):
    raise UserError(f"`model` {model}: has no parameters")


def _dtype(value: Any) -> str:
  return str(getattr(value, "dtype", type(value).__name__))


def _check_hidden(model: str, module: nnx.Module) -> None:
  """Refuses variables in objects that Flax does not look into: nothing would train or save them."""
  known = {id(node) for _, node in nnx.iter_graph(module)}
  seen: set[int] = set()

  def look(value: Any, path: tuple[Any, ...]) -> None:
    if id(value) in seen or isinstance(value, type | ModuleType | np.ndarray | jax.Array | str | bytes):
      return
    seen.add(id(value))
    if isinstance(value, nnx.Variable):
      if id(value) not in known:
        raise UserError(
          f"`model` {model}: {_place(path)} is in an object that Flax does not look into, so it would not be trained; "
          "allowed: attributes of an nnx.Module, nnx.List, nnx.Dict"
        )
      return
    if isinstance(value, Mapping):
      parts = list(value.items())
    elif isinstance(value, list | tuple | set | frozenset):
      parts = list(enumerate(value))
    elif isinstance(value, functools.partial):
      parts = [("func", value.func), *enumerate(value.args), *value.keywords.items()]
    else:
      closure = [cell.cell_contents for cell in getattr(value, "__closure__", None) or () if _is_full(cell)]
      parts = [*getattr(value, "__dict__", {}).items(), *enumerate(closure)]
    for name, part in parts:
      look(part, (*path, name))

  look(module, ())


def _is_full(cell: Any) -> bool:
  try:
    cell.cell_contents  # noqa: B018
  except ValueError:
    return False
  return True


def _check_shapes(model: str, module: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int) -> None:
  """Refuses what does not turn any number of images into as many logits, or back."""
  parts: Any = nnx.split(module, nnx.Variable, ...)
  graphdef, variables, constants = parts
  directions: list[tuple[str, Any]] = [("called on images", lambda bound, x: bound(x))]
  if hasattr(module, "transpose"):
    directions.append(("transposed on codes", lambda bound, x: bound.transpose(x)))
  for (verb, call), number in itertools.product(directions, _NUMBERS):
    images = jax.ShapeDtypeStruct((number, *image_shape), jnp.float32)
    codes = jax.ShapeDtypeStruct((number, num_outputs), jnp.float32)
    given, wanted = (images, codes) if verb.endswith("images") else (codes, images)

    def run(variables: nnx.State, x: jax.Array, call: Callable[..., Any] = call) -> Any:
      bound = nnx.merge(graphdef, variables, constants)
      bound.eval()
      return call(bound, x)

    made = _attempt(
      model,
      f"cannot be {verb} {_described(given)}",
      functools.partial(jax.eval_shape, run, variables, given),
      allowed="" if number == _NUMBERS[0] else "any number of them",
    )
    if getattr(made, "shape", None) != wanted.shape or made.dtype != jnp.float32:
      raise UserError(
        f"`model` {model}: {verb} {_described(given)} makes {_described(made)}; allowed: {_described(wanted)}"
      )


def _check_gradients(model: str, module: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int) -> None:
  """Refuses what JAX cannot differentiate, such as a `while_loop` that parameters take part in."""
  parts: Any = nnx.split(module, nnx.Param, ...)
  graphdef, params, rest = parts

  def run(params: nnx.State, images: jax.Array, codes: jax.Array) -> jax.Array:
    # Made anew: what a batch changes, such as running statistics, must be of this trace.
    bound: Any = nnx.merge(graphdef, params, jax.tree.map(lambda leaf: leaf, rest))
    bound.eval()
    back = bound.transpose(codes).sum() if hasattr(module, "transpose") else 0.0
    return bound(images).sum() + back

  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  codes = jax.ShapeDtypeStruct((2, num_outputs), jnp.float32)
  _attempt(model, "cannot be differentiated", lambda: jax.eval_shape(jax.grad(run), params, images, codes))


def check_training(
  model: str, network: Network, params: Params, batches: Iterable[int], labels: Any, compute: Compute
) -> None:
  """Refuses networks of a user's own that a training step would fail in. Nothing is computed.

  Args:
    model: FILE.py:NAME; of other names there is nothing to refuse.
    network: Its structure.
    params: Its arrays, or their shapes.
    batches: Images that training steps take.
    labels: Of a data set: integers [N] or [N, K].
    compute: What the network computes in.

  Raises:
    UserError: It names the size of the batch.
  """
  if own_model(model) is None:
    return
  params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
  key = jax.eval_shape(lambda: jax.random.key(0))
  for size in sorted(set(batches)):
    images = jax.ShapeDtypeStruct((size, *network.image_shape), jnp.float32)
    of_batch = jax.ShapeDtypeStruct((size, *labels.shape[1:]), labels.dtype)

    def step(params: Params, images: jax.Array, labels: jax.Array, key: jax.Array) -> Any:
      return task_gradient(network, params, images, labels, 0.0, compute, key if network.is_random else None)

    arguments = (params, images, of_batch, key)
    _attempt(
      model,
      f"cannot be trained on images {_described(images)} in {compute}",
      functools.partial(jax.eval_shape, step, *arguments),
    )


def _place(path: tuple[Any, ...]) -> str:
  return ".".join(map(str, path))


def _described(value: Any) -> str:
  return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else type(value).__name__


def _attempt(model: str, failure: str, call: Callable[[], T], *, printed: Held | None = None, allowed: str = "") -> T:
  """What a call into a user's code gives; whatever it raises ends in one line."""
  try:
    return call()
  except (UserError, Stopped, KeyboardInterrupt):
    raise
  except BaseException as error:
    first = next(iter(str(error).strip().splitlines()), "no message")
    if isinstance(error, SystemExit):
      first = f"{first} {printed.last_line() if printed else ''}".rstrip()
      allowed = "a file that defines the network and ends, without arguments"
    if "nnx.List" in str(error):
      # Flax's own advice is as long as a page.
      first, allowed = first.partition(". ")[0], "nnx.List(...), nnx.Dict(...) or nnx.data(...) around it"
    line = _line(model, error)
    raise UserError(
      f"`model` {model}: {failure} ({type(error).__name__}: {first}){line}{allowed and f'; allowed: {allowed}'}"
    ) from error


def _line(model: str, error: BaseException) -> str:
  """The line of a user's file that an error comes from, the innermost."""
  file = str(_own(model).file)
  lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
  return f" in line {lines[-1]}" if lines else ""
