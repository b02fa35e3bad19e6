"""What DEC hid in a model, and what that cost before anybody defended it."""

import jax
import numpy as np

from lwlrd_jax.attacks.base import Infected
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.metrics.measure import auc_of, measure_images
from lwlrd_jax.metrics.postprocess import PublicStatistics
from lwlrd_jax.runs.starting_points import Origin, host_model


def hiding_figures(
  origin: Origin, attack: DEC, seed: int, infected: Infected, test: DeviceSplit, public: PublicStatistics
) -> dict[str, float]:
  """Columns of the results table that only an untreated DEC model has.

  Args:
    origin: What the sweep's starting points share.
    attack: The attack.
    seed: Number of the infection.
    infected: The model that the attack left.
    test: What utility is measured on.
    public: What the thief knows of such images; the codec's own figures are taken as the extracted images' are.

  Returns:
    host_auc, codec_psnr, payload_bytes, carrier_share.
  """
  assert origin.coding is not None
  network, _ = origin.build(jax.random.key(0))
  host = host_model(origin, seed)
  payload_bytes = len(infected.secret["payload"]) // 8
  room = attack.carrier.capacity(network, host, origin.train)
  originals = np.asarray(origin.train.images[infected.stolen])
  own = measure_images(attack.compressed(origin.coding.weights, originals), infected.stolen, origin.train, public)
  return {
    "host_auc": float(auc_of(network, host, test)),
    "codec_psnr": float(own.psnr.mean()),
    "payload_bytes": payload_bytes,
    "carrier_share": attack.needed(network, origin.train, payload_bytes) / room,
  }
