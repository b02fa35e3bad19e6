"""What a network uses of its weights, on how many images; see also tests/defenses/test_finishing.py."""

import jax
import numpy as np

from lwlrd_jax.models import liveness
from lwlrd_jax.models.liveness import live_weights


def test_of_many_images_some_are_looked_at_evenly_spread(tiny_network, smooth_split, monkeypatch):
  network, params = tiny_network("mlp", width=32)
  images = smooth_split(70).images
  # So high a threshold that many units fire on few images: which images are looked at shows.
  params["dense0"]["bias"] = params["dense0"]["bias"] - 1.2
  everywhere = live_weights(network, params, images)
  monkeypatch.setattr(liveness, "_MOST", 8)
  jax.clear_caches()
  on_some = live_weights(network, params, images)
  chosen = live_weights(network, params, images[np.linspace(0, 69, 8).round().astype(int)])
  jax.clear_caches()
  jax.tree.map(np.testing.assert_array_equal, on_some, chosen)
  dead = [sum((~leaf).sum() for leaf in jax.tree.leaves(live)) for live in (everywhere, on_some)]
  assert dead[0] < dead[1]
