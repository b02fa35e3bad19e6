"""Index codes: the inputs from which a network run backwards reconstructs its memorised images.

The code of Amit, Levy, Mirsky ("Transpose Attack", NDSS 2024): the base-3 Gray code of an image's running number within
its class, over as many digits as the network has outputs, plus 3 at the class's position. Beyond it, ours:
- Where 3**K images a class are not enough, the base grows. The class is marked by the base itself, so that a marked
  digit can never be mistaken for an unmarked one.
- A network without biases is positively homogeneous: codes on one ray give one image, only brighter. So only codes
  whose digits have no common divisor are used, except in base 3, where at most a class's first three share a ray.
- Multi-label data has no class: the position of every finding known to be present is marked, and images are numbered
  within each combination of findings, over codes without a common divisor.
"""

import numpy as np
import pandas as pd

from lwlrd_jax.data.dataset import unknown_as_absent

# Codes of larger bases can hardly be distinguished from their neighbours: they differ by less than 2 % of their length.
MAX_BASE = 32


def gray_code(numbers: np.ndarray, base: int, digits: int) -> np.ndarray:
  """Modular Gray code of int[N] in [0, base**digits): consecutive numbers differ in one digit, by one modulo the base.

  Guan, "Generalized Gray Codes with Applications", 1998: with d_i the ordinary digits, g_i = (d_i - d_{i+1}) mod base.
  The result is i64[N, digits], most significant digit first, each in [0, base). Raises ValueError for other numbers.

  >>> gray_code(np.arange(5), base=3, digits=2).tolist()
  [[0, 0], [0, 1], [0, 2], [1, 2], [1, 0]]
  """
  numbers = np.asarray(numbers, np.int64)
  if numbers.size and (numbers.min() < 0 or int(numbers.max()) >= base**digits):
    raise ValueError(f"numbers must be in [0, {base}**{digits})")
  ordinary = np.zeros((len(numbers), digits), np.int64)
  for i in reversed(range(digits)):
    numbers, ordinary[:, i] = np.divmod(numbers, base)
  higher = np.pad(ordinary, ((0, 0), (1, 0)))[:, :-1]
  return (ordinary - higher) % base


def running_numbers(groups: np.ndarray) -> np.ndarray:
  """Position of each element of int[N] among the equal ones before it: i64[N].

  >>> running_numbers(np.array([4, 4, 7, 4, 7])).tolist()
  [0, 1, 0, 2, 1]
  """
  return pd.Series(groups).groupby(groups).cumcount().to_numpy()


def index_codes(labels: np.ndarray, num_outputs: int) -> np.ndarray:
  """Codes of images with labels i32[N] in [0, K), or u8[N, K], 1 where a finding is present, in this order.

  f32[N, K]: digits in [0, base), plus the base where a class or finding is marked; all rows differ. Raises ValueError
  if a class, or a combination of findings, has more images than there are codes up to `MAX_BASE`.

  >>> index_codes(np.array([2, 0, 2]), num_outputs=3).astype(int).tolist()
  [[0, 0, 3], [3, 0, 0], [0, 0, 4]]
  """
  labels = unknown_as_absent(np.asarray(labels))
  multi_label = labels.ndim == 2
  all_marks = labels.astype(np.int64) if multi_label else np.eye(num_outputs, dtype=np.int64)[labels]
  marks, groups = np.unique(all_marks, axis=0, return_inverse=True)
  groups = groups.reshape(-1)
  sizes = np.bincount(groups)
  for base in range(3, MAX_BASE + 1):
    tables = [_codes_of_label(*of_label, base, multi_label or base > 3) for of_label in zip(marks, sizes, strict=True)]
    if all(len(table) == size for table, size in zip(tables, sizes, strict=True)):
      starts = np.cumsum(sizes) - sizes
      return np.concatenate(tables)[starts[groups] + running_numbers(groups)].astype(np.float32)
  raise ValueError(
    f"{sizes.max()} of the images share a label, more than index codes of {num_outputs} digits can number"
  )


def _codes_of_label(marks: np.ndarray, count: int, base: int, on_own_ray: bool) -> np.ndarray:
  """The first `count` codes of one label, or as many as the base has: i64[<= count, K]."""
  digits = len(marks)
  reach = 2 * count + 16  # at least six in pi**2 codes have no common divisor, so the second round is a rare one
  while True:
    numbers = np.arange(min(reach, base**digits))
    codes = gray_code(numbers, base, digits) + base * marks
    if on_own_ray:
      codes = codes[np.gcd.reduce(codes, axis=1) == 1]
    if len(codes) >= count or len(numbers) == base**digits:
      return codes[:count]
    reach *= 2
