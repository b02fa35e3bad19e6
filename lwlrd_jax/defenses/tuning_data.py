"""What a defence may be fine-tuned on, if not on the whole training split."""

import jax
import jax.numpy as jnp
import numpy as np


def choose_share(size: int, share: float, overlap: str, stolen: np.ndarray, key: jax.Array) -> jax.Array:
  """Which of `size` training images the fine-tuning sees: i32[M] positions, sorted.

  M is `share`, in (0, 1], of them, rounded, at least 1; fewer if `none` leaves fewer. `overlap` is whether they hold
  those at the positions `stolen`, i[S]: `any`, drawn at random; `none`; `all`, these first.

  >>> choose_share(10, 0.4, "all", np.array([7, 8]), jax.random.key(0)).tolist()[-2:]
  [7, 8]
  """
  wanted = max(round(share * size), 1)
  order = np.asarray(jax.random.permutation(key, size))
  is_stolen = np.isin(order, stolen)
  if overlap == "none":
    order = order[~is_stolen]
  elif overlap == "all":
    order = np.concatenate([order[is_stolen], order[~is_stolen]])
  return jnp.asarray(np.sort(order[:wanted]), jnp.int32)
