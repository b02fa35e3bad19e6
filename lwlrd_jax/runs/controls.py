"""Controls that are sets of images, not models: the floor of leakage, and what images may be worth."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Infected
from lwlrd_jax.data.device import scale
from lwlrd_jax.metrics.downstream import downstream_auc
from lwlrd_jax.metrics.measure import measure_constant
from lwlrd_jax.setup.setup import Setup


class Control(NamedTuple):
  """Cells of the results table, and figures image by image (`Measured.outcomes`)."""

  figures: dict[str, Any]
  outcomes: dict[str, np.ndarray]


def image_controls(setup: Setup, infected: Infected, key: jax.Array) -> dict[str, Control]:
  """Measures as many images as are stolen, with their labels, by name in the column `defense`.

  Returns:
    `mean_image`, every image the mean training image; `originals`, the stolen images themselves; `noise_images`,
    uniform noise from `key`. The last two have no leakage to measure.
  """
  bench, train, public = setup.bench, setup.bench.train, setup.bench.public
  originals, labels = scale(train.images[infected.stolen]), train.labels[infected.stolen]

  def worth(images: jax.Array) -> np.ndarray:
    return np.asarray(downstream_auc(bench.network.num_outputs, images[None], labels, bench.val, bench.test))

  floor = measure_constant(len(labels), infected.stolen, train, public)
  by_name = {
    "mean_image": worth(jnp.broadcast_to(public.mean, originals.shape)),
    "originals": worth(originals),
    "noise_images": worth(jax.random.uniform(key, originals.shape)),
  }
  found = {
    name: Control({"downstream_auc": float(auc.mean())}, {"downstream_auc": auc}) for name, auc in by_name.items()
  }
  found["mean_image"].figures.update(floor.figures())
  found["mean_image"].outcomes.update(floor.outcomes())
  return found
