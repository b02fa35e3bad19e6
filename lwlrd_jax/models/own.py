"""Networks of a user's own, named on the command line as FILE.py:NAME."""

import functools
import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from lwlrd_jax.errors import UserError
from lwlrd_jax.model_name import ALLOWED, OwnModel, own_model
from lwlrd_jax.models.network import split_model

T = TypeVar("T")

_ALLOWED = "allowed: FILE.py:NAME, where NAME(image_shape, num_outputs, rngs=...) makes a flax.nnx.Module"


def identity(model: str) -> str:
  """What tells a model from what the same name meant before: of one of a file, also the file's SHA-256."""
  own = own_model(model)
  return model if own is None else f"{own.name}-{_digest(model)}"


def _digest(model: str) -> str:
  return hashlib.sha256(_own(model).file.read_bytes()).hexdigest()


def load_own(model: str) -> Callable[..., nnx.Module]:
  """What builds a model of a file; the file is run.

  Args:
    model: FILE.py:NAME.

  Returns:
    `build(image_shape, num_outputs, rngs=...)`. What it makes is checked; mistakes end in a `UserError` of one line.

  Raises:
    UserError: There is no such file or name, or the file cannot be run.
  """
  found = _found(model, _digest(model))

  def build(image_shape: tuple[int, int, int], num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
    module = _attempt(model, "cannot be built", lambda: found(image_shape, num_outputs, rngs=rngs))
    if not isinstance(module, nnx.Module):
      raise UserError(f"--model {model}: makes a {type(module).__name__}; {_ALLOWED}")
    _check_variables(model, module)
    _check_shapes(model, module, image_shape, num_outputs)
    _check_gradients(model, module, image_shape, num_outputs)
    try:
      split_model(module, image_shape, num_outputs)
    except ValueError as error:
      raise UserError(f"--model {model}: {error}") from error
    return module

  return build


def _own(model: str) -> OwnModel:
  own = own_model(model)
  if own is None or not own.file.is_file():
    raise UserError(f"--model {model}: there is no such file; {ALLOWED}")
  return own


@functools.cache
def _found(model: str, version: str) -> Callable[..., nnx.Module]:
  """Runs the file, once for each version of it."""
  own = _own(model)
  spec = importlib.util.spec_from_file_location(f"lwlrd_jax_model_{version[:12]}", own.file)
  assert spec is not None
  module, loader = importlib.util.module_from_spec(spec), spec.loader
  assert loader is not None  # of a file that ends in .py there is one
  _attempt(model, "the file cannot be run", lambda: loader.exec_module(module))
  found = getattr(module, own.name, None)
  if not callable(found):
    names = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, nnx.Module)]
    there = f"it has {', '.join(names)}" if names else "nor any flax.nnx.Module"
    raise UserError(f"--model {model}: the file has no {own.name}; {there}")
  return found


def _check_variables(model: str, module: nnx.Module) -> None:
  """Refuses what is neither a parameter nor a running statistic, and other types than ours."""
  variables = nnx.to_flat_state(nnx.state(module))
  for path, variable in variables:
    place, kind = ".".join(map(str, path)), type(variable).__name__
    if not isinstance(variable, nnx.Param | nnx.BatchStat):
      raise UserError(
        f"--model {model}: {place} is a {kind}, which changes as the model is used; allowed: nnx.Param, nnx.BatchStat"
      )
    if variable.get_value().dtype != jnp.float32:
      raise UserError(f"--model {model}: {place} is of {variable.get_value().dtype}; allowed: float32")
  if not any(isinstance(variable, nnx.Param) for _, variable in variables):
    raise UserError(f"--model {model}: has no parameters")


def _check_shapes(model: str, module: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int) -> None:
  """Refuses what does not turn images into logits, or back."""
  graphdef, state = nnx.split(module)
  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  codes = jax.ShapeDtypeStruct((2, num_outputs), jnp.float32)
  directions: list[tuple[str, Any, jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]] = [
    ("called on images", lambda bound, x: bound(x), images, codes)
  ]
  if hasattr(module, "transpose"):
    directions.append(("transposed on codes", lambda bound, x: bound.transpose(x), codes, images))
  for verb, call, given, wanted in directions:

    def run(state: nnx.State, x: jax.Array, call: Callable[..., Any] = call) -> Any:
      return call(nnx.merge(graphdef, state), x)

    made = _attempt(
      model, f"cannot be {verb} {_described(given)}", functools.partial(jax.eval_shape, run, state, given)
    )
    if getattr(made, "shape", None) != wanted.shape or made.dtype != jnp.float32:
      raise UserError(
        f"--model {model}: {verb} {_described(given)} makes {_described(made)}; allowed: {_described(wanted)}"
      )


def _check_gradients(model: str, module: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int) -> None:
  """Refuses what JAX cannot differentiate, such as a `while_loop` that parameters take part in."""
  graphdef, params, *rest = nnx.split(module, nnx.Param, ...)

  def run(params: nnx.State, images: jax.Array, codes: jax.Array) -> jax.Array:
    bound: Any = nnx.merge(graphdef, params, *rest)
    back = bound.transpose(codes).sum() if hasattr(module, "transpose") else 0.0
    return bound(images).sum() + back

  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  codes = jax.ShapeDtypeStruct((2, num_outputs), jnp.float32)
  _attempt(model, "cannot be differentiated", lambda: jax.eval_shape(jax.grad(run), params, images, codes))


def _described(value: Any) -> str:
  return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else type(value).__name__


def _attempt(model: str, failure: str, call: Callable[[], T]) -> T:
  """What a call into a user's code gives; whatever it raises ends in one line."""
  try:
    return call()
  except UserError:
    raise
  except Exception as error:
    first = next(iter(str(error).strip().splitlines()), "no message")
    raise UserError(f"--model {model}: {failure} ({type(error).__name__}: {first})") from error
