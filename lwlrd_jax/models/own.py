"""Networks of a user's own, named on the command line as FILE.py:NAME."""

import contextlib
import functools
import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

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

_ALLOWED = "allowed: FILE.py:NAME, where NAME(image_shape, num_outputs, rngs=...) makes a flax.nnx.Module"
# Sizes of batches that a network is tried with: two first, which show what is wrong whatever the size.
_NUMBERS = (2, 1, 512)


def _digest(file: Path) -> str:
  return hashlib.sha256(file.read_bytes()).hexdigest()


def load_own(model: str) -> Callable[..., nnx.Module]:
  """What builds a model of FILE.py:NAME, `build(image_shape, num_outputs, rngs=...)`; the file is run.

  Raises:
    UserError: There is no such file or name, or the file cannot be run. `build` raises it where it fails, or makes a
      module that cannot be trained.
  """
  loaded = _loaded(model)

  def build(image_shape: tuple[int, int, int], num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
    with as_script(_own(model).file) as printed, _attempt(model, "cannot be built", printed=printed):
      module = loaded.found(image_shape, num_outputs, rngs=rngs)
    if not isinstance(module, nnx.Module):
      raise _mistake(model, f"makes a {type(module).__name__}; {_ALLOWED}")
    _check_variables(model, module)
    _check_hidden(model, module)
    return module

  return build


def split_own(
  model: str, module: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int
) -> tuple[Network, Params]:
  """As `split_model`, of what a user's file makes.

  Raises:
    UserError: What `split_model` refuses, networks that do not map any number of images to as many logits, or cannot be
      differentiated, and arrays that are drawn with the weights but are no parameters.
  """
  checked = _loaded(model).checked

  def check(network: Network, params: Params) -> None:
    if (image_shape, num_outputs) not in checked:
      _check_calls(model, network, params)
      checked.add((image_shape, num_outputs))

  try:
    network, params = split_model(module, image_shape, num_outputs, check)
  except ValueError as error:
    raise _mistake(model, str(error)) from error
  if network.constants:
    other = load_own(model)(image_shape, num_outputs, rngs=nnx.Rngs(1))
    others = dict(nnx.to_flat_state(nnx.state(other)))
    for path, constant in network.constants:
      if not np.array_equal(constant.array(), others[path]):
        raise _mistake(
          model,
          f"{_place(path)} is an array that rngs draw; allowed: nnx.Param, or an array that is the same each time",
        )
  return network, params


def versions_of(model: str) -> tuple[str, ...]:
  """SHA-256 of a model's file, and of the files beside it that it imports."""
  return tuple(_loaded(model).files.values())


class _Loaded(NamedTuple):
  """A file that was run."""

  found: Callable[..., nnx.Module]  # what the name means in it
  files: dict[Path, str]  # SHA-256 of the file, first, and of those beside it that it imported
  checked: set[tuple[tuple[int, int, int], int]]  # image shapes and numbers of outputs that the network was tried with


_runs: dict[str, _Loaded] = {}
# What files have imported from beside them.
_beside: dict[str, Path] = {}


def _own(model: str) -> OwnModel:
  own = own_model(model)
  if own is None or not own.file.is_file():
    raise _mistake(model, f"there is no such file; {ALLOWED}")
  return own


def _mistake(model: str, text: str) -> UserError:
  return UserError(f"`model` {model}: {text}")


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
  module = ModuleType(name)
  module.__file__ = str(own.file)
  # What another file, or an older version of this one, found beside itself may be something else here.
  for other in _beside:
    sys.modules.pop(other, None)
  _beside.clear()
  known = set(sys.modules)
  sys.modules[name] = module  # dataclasses look there for the module that they are defined in
  with as_script(own.file) as printed, _attempt(model, "the file cannot be run", printed=printed):
    exec(compile(source, str(own.file), "exec", dont_inherit=True), vars(module))
  folder = own.file.resolve().parent
  if str(folder) not in sys.path:
    sys.path.append(str(folder))  # for what is imported only when it is needed; it hides nothing of ours
  _beside.update(imported_beside(own.file, known))
  found = getattr(module, own.name, None)
  if not callable(found):
    names = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, nnx.Module)]
    there = f"it has {', '.join(names)}" if names else "nor any flax.nnx.Module"
    raise _mistake(model, f"the file has no {own.name}; {there}")
  files = {own.file.resolve(): hashlib.sha256(source).hexdigest()}
  files |= {file: _digest(file) for file in sorted(set(_beside.values())) if file.is_file()}
  return _Loaded(found, files, set())


def _check_variables(model: str, module: nnx.Module) -> None:
  """Refuses what is no parameter, running statistic, random state or constant, and parameters of other types."""
  variables = nnx.to_flat_state(nnx.state(module))
  for path, variable in variables:
    place = _place(path)
    if not isinstance(variable, nnx.Variable):  # a constant
      if jnp.issubdtype(variable.dtype, jax.dtypes.prng_key):
        raise _mistake(model, f"{place} is a random key; allowed: nnx.Rngs, whose keys are new at each step")
    elif isinstance(variable, nnx.Param | nnx.BatchStat):
      value = variable.get_value()
      dtype = getattr(value, "dtype", type(value).__name__)
      if dtype != jnp.float32:
        raise _mistake(model, f"{place} is of {dtype}; allowed: float32")
    elif not isinstance(variable, nnx.RngState):
      kind = type(variable).__name__
      allowed = "allowed: nnx.Param, nnx.BatchStat, nnx.Rngs"
      raise _mistake(model, f"{place} is a {kind}, which changes as the model is used; {allowed}")
  if not any(isinstance(variable, nnx.Param) for _, variable in variables):
    raise _mistake(model, "has no parameters")


def _check_hidden(model: str, module: nnx.Module) -> None:
  """Refuses variables in objects that Flax does not look into: nothing would train or save them."""
  known = {id(node) for _, node in nnx.iter_graph(module)}
  seen: set[int] = set()

  def look(value: Any, path: tuple[Any, ...]) -> None:
    if id(value) in seen or isinstance(value, type | ModuleType | np.ndarray | jax.Array | str | bytes):
      return
    seen.add(id(value))
    if not isinstance(value, nnx.Variable):
      for name, part in _parts(value):
        look(part, (*path, name))
    elif id(value) not in known:
      raise _mistake(
        model,
        f"{_place(path)} is in an object that Flax does not look into, so it would not be trained; "
        "allowed: attributes of an nnx.Module, nnx.List, nnx.Dict",
      )

  look(module, ())


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
  """What an object holds, by name or number."""
  if isinstance(value, Mapping):
    yield from value.items()
  elif isinstance(value, list | tuple | set | frozenset):
    yield from enumerate(value)
  elif isinstance(value, functools.partial):
    yield from [("func", value.func), *enumerate(value.args), *value.keywords.items()]
  else:
    yield from getattr(value, "__dict__", {}).items()
    for number, cell in enumerate(getattr(value, "__closure__", None) or ()):
      with contextlib.suppress(ValueError):  # an empty cell
        yield number, cell.cell_contents


# A direction: what it is called in messages, its function, and shapes of batches that it reads and makes.
_Way = tuple[str, Callable[..., jax.Array], Callable[[int], Any], Callable[[int], Any]]


def _check_calls(model: str, network: Network, params: Params) -> None:
  """Refuses what does not turn any number of images into as many logits, or back, and what has no gradient."""
  ways: list[_Way] = [("called on images", network.forward, network.images, network.codes)]
  if network.reversible:
    ways.append(("transposed on codes", network.transpose, network.codes, network.images))
  for verb, call, reads, makes in ways:
    for number in _NUMBERS:
      given, wanted = reads(number), makes(number)
      allowed = "" if number == _NUMBERS[0] else "any number of them"
      with _attempt(model, f"cannot be {verb} {_described(given)}", allowed=allowed):
        made: Any = jax.eval_shape(call, params, given)
      if getattr(made, "shape", None) != wanted.shape or made.dtype != jnp.float32:
        made_of = f"{verb} {_described(given)} makes {_described(made)}"
        raise _mistake(model, f"{made_of}; allowed: {_described(wanted)}")

  def total(params: Params, *given: jax.Array) -> jax.Array:
    return sum((call(params, each).sum() for (_, call, *_), each in zip(ways, given, strict=True)), jnp.float32(0))

  with _attempt(model, "cannot be differentiated"):
    jax.eval_shape(jax.grad(total), params, *(reads(2) for _, _, reads, _ in ways))


def check_training(
  model: str, network: Network, params: Params, batches: Iterable[int], labels: Any, compute: Compute
) -> None:
  """Refuses networks of a user's own that a training step would fail in, in batches of any of these sizes.

  Nothing is computed; parameters may be shapes. Labels are those of the data set, integers [N] or [N, K].
  """
  if own_model(model) is None:
    return
  step = functools.partial(task_gradient, network, label_smoothing=0.0, compute=compute)
  for size in sorted(set(batches)):
    images, of_batch = network.images(size), jax.ShapeDtypeStruct((size, *labels.shape[1:]), labels.dtype)
    with _attempt(model, f"cannot be trained on images {_described(images)} in {compute}"):
      jax.eval_shape(step, params, images, of_batch, key=jax.random.key(0))


def _place(path: tuple[Any, ...]) -> str:
  return ".".join(map(str, path))


def _described(value: Any) -> str:
  return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else type(value).__name__


@contextlib.contextmanager
def _attempt(model: str, failure: str, *, printed: Held | None = None, allowed: str = "") -> Iterator[None]:
  """Calls a user's code; whatever it raises ends in one line."""
  try:
    yield
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
    file = str(_own(model).file)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    line = f" in line {lines[-1]}" if lines else ""
    allowed = allowed and f"; allowed: {allowed}"
    raise _mistake(model, f"{failure} ({type(error).__name__}: {first}){line}{allowed}") from error
