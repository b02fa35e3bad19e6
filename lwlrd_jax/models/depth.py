"""How deep each parameter lies, counted from the input: read from the computation itself, not declared.

A parameter is *used* where it first meets something that depends on the input. Parameters of one module are one unit. A
unit that multiplies matrices or convolves lies one deeper than all that it reads; a unit that only scales, shifts or is
joined (a normalisation, a position embedding, a class token) lies where what it is applied to lies. So branches that
read the same lie equally deep, and residual connections make nothing deeper.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, Literal

from lwlrd_jax.jax_internals import Loop, branches_of, computation, loop_of

LAYER, BLOCK = "layer", "block"
# In place of the depth of a parameter that nothing is computed with.
UNUSED = -1
# What mixes its inputs by a parameter, where anything else treats each number by itself.
_MIXING = frozenset({"dot_general", "conv_general_dilated", "ragged_dot", "ragged_dot_general", "gather"})

Path = tuple[Any, ...]


def depth_labels(fn: Callable[..., Any], params: Any, *inputs: Any, by: str = LAYER) -> Any:
  """Labels every parameter with its depth. Nothing is computed; arrays may be `jax.ShapeDtypeStruct`s.

  Args:
    fn: `fn(params, *inputs)`, any function that JAX can trace.
    params: A tree of arrays.
    inputs: Trees of arrays. Without any, arrays that `fn` closes over are the input.
    by: `layer`, where parameters in one node of the tree are a unit (at its root each by itself), or `block`, where all
      under one of its top-level keys are; under a key that holds a list, all under one item.

  Returns:
    A tree like `params` with an int from 0 at each leaf, no depth left out; `UNUSED` for a parameter that nothing is
    computed with.

  Raises:
    ValueError: Nothing is computed with any parameter, or slices of one are of several layers.

  >>> import jax.numpy as jnp
  >>> def fn(params, x):
  ...   hidden = jnp.tanh(x @ params["first"]["kernel"] + params["first"]["bias"])
  ...   return hidden @ params["last"]["kernel"]
  >>> params = {"last": {"kernel": jnp.ones((3, 2))}, "first": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}}
  >>> depth_labels(fn, params, jnp.ones((5, 4)))
  {'first': {'bias': 0, 'kernel': 0}, 'last': {'kernel': 1}}
  """
  (labels,) = labels_by((by,), fn, params, *inputs)
  return labels


def labels_by(units: Sequence[str], fn: Callable[..., Any], params: Any, *inputs: Any) -> list[Any]:
  """As `depth_labels`, a tree for each kind of unit, of one trace."""
  leaves, tree = jax.tree_util.tree_flatten_with_path(params)
  paths = [path for path, _ in leaves]
  traced = computation(jax.make_jaxpr(fn)(params, *inputs))
  assert traced is not None
  first = _Walk(paths)
  first.run(traced, given=bool(inputs))
  if not any(first.used):
    raise ValueError("nothing is computed with any parameter")
  found = []
  for unit_of in ({LAYER: _layer, BLOCK: _block}[by] for by in units):
    units_of = [unit_of(path) for path in paths]
    # Only now it is known which units mix, which their first use may not show.
    second = _Walk(paths, units_of, {unit for unit, mixes in zip(units_of, first.mixes, strict=True) if mixes})
    second.run(traced, given=bool(inputs))
    depths = {level: depth for depth, level in enumerate(sorted(set(second.levels.values())))}
    labels = [depths[second.levels[unit]] if used else UNUSED for unit, used in zip(units_of, first.used, strict=True)]
    found.append(jax.tree.unflatten(tree, labels))
  return found


def _layer(path: Path) -> Path:
  """Parameters side by side in the tree are one layer's."""
  return path[:-1] or path


def _block(path: Path) -> Path:
  """All under one top-level key; of a list under it, all of one item."""
  second = path[1] if len(path) > 1 else None
  return path[:2] if isinstance(getattr(second, "idx", getattr(second, "key", None)), int) else path[:1]


class _Value(NamedTuple):
  """What a variable of a computation depends on."""

  # The largest of the units that the input has met on its way here; -1 for the input itself; None without the input.
  level: int | None = None
  # Numbers of the parameters it is made of that have not met the input; none if it depends on the input.
  waiting: frozenset[int] = frozenset()


_NEUTRAL, _INPUT = _Value(), _Value(-1)


class _Walk:
  """Goes through a computation in its order and notes where each parameter meets the input.

  Attributes:
    used: Of each parameter, whether it has met the input.
    mixes: Of each parameter, whether it met it in an operation that mixes.
    levels: Level of each unit, if there are units.
  """

  def __init__(self, paths: Sequence[Path], units: Sequence[Path] = (), mixing: Collection[Path] = ()):
    self.used = [False] * len(paths)
    self.mixes = [False] * len(paths)
    self.levels: dict[Path, int] = {}
    self._paths = paths
    self._units = units
    self._mixing = mixing
    self._sliced: frozenset[int] = frozenset()

  def run(self, traced: Jaxpr, *, given: bool) -> None:
    """Goes through a traced function whose first arguments are the parameters."""
    parameters = [_Value(waiting=frozenset([number])) for number in range(len(self.used))]
    inputs = [_INPUT] * (len(traced.invars) - len(parameters))
    self._jaxpr(traced, [*parameters, *inputs], _NEUTRAL if given else _INPUT)

  def _jaxpr(self, jaxpr: Jaxpr, arguments: Sequence[_Value], constants: _Value = _NEUTRAL) -> list[_Value]:
    values = dict.fromkeys(jaxpr.constvars, constants) | dict(zip(jaxpr.invars, arguments, strict=True))
    read = lambda atom: _NEUTRAL if isinstance(atom, Literal) else values[atom]  # noqa: E731
    for equation in jaxpr.eqns:
      found = self._equation(equation, [read(atom) for atom in equation.invars])
      values |= dict(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]

  def _equation(self, equation: Any, arguments: list[_Value]) -> list[_Value]:
    if loop := loop_of(equation):
      arguments = arguments[loop.skipped :]
      outer, self._sliced = self._sliced, self._sliced | _join_waiting(arguments[loop.consts + loop.carries :])
      results = self._loop(loop, arguments)
      self._sliced = outer
      return results
    if branches := branches_of(equation):
      results_of = [self._jaxpr(branch, arguments[1:]) for branch in branches]
      return [_join([arguments[0], *results]) for results in zip(*results_of, strict=True)]
    for inner in map(computation, equation.params.values()):
      if inner is not None and len(inner.invars) == len(arguments):
        return self._jaxpr(inner, arguments)
    return [self._meet(equation.primitive.name, arguments)] * len(equation.outvars)

  def _loop(self, loop: Loop, arguments: list[_Value]) -> list[_Value]:
    """A loop's body, until what it carries depends on nothing new."""
    first, after, carries = loop.consts, loop.consts + loop.carries, loop.carries
    while True:
      results = self._jaxpr(loop.body, arguments)
      carried = [_join(pair) for pair in zip(arguments[first:after], results[:carries], strict=True)]
      if carried == arguments[first:after]:
        return [*carried, *results[carries:]]
      arguments = [*arguments[:first], *carried, *arguments[after:]]

  def _meet(self, name: str, arguments: list[_Value]) -> _Value:
    joined = _join(arguments)
    if joined.level is None:
      return joined
    level = joined.level
    for number in sorted(_join_waiting(arguments)):
      if number in self._sliced:
        parameter = jax.tree_util.keystr(self._paths[number], simple=True, separator=".")
        raise ValueError(
          f"parameter {parameter}: a loop takes a slice of it in each turn, so it is of "
          "several layers; allowed: a parameter for each"
        )
      self.used[number] = True
      self.mixes[number] |= name in _MIXING
      if not self._units:
        continue
      unit = self._units[number]
      if unit in self._mixing:
        level = max(level, self.levels.setdefault(unit, joined.level + 1))
      else:  # it lies where what it is applied to lies
        self.levels.setdefault(unit, max(joined.level, 0))
    return _Value(level)


def _join(values: Sequence[_Value]) -> _Value:
  levels = [value.level for value in values if value.level is not None]
  return _Value(max(levels)) if levels else _Value(None, _join_waiting(values))


def _join_waiting(values: Sequence[_Value]) -> frozenset[int]:
  return frozenset().union(*(value.waiting for value in values))
