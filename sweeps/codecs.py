"""Image codecs by bytes and decibels: the learned one at several lambdas against WebP, JPEG and PNG.

python -m lwlrd_jax.sweep --config sweeps/codecs.py
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.8", baselines=False),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="dec"),
  dec=Dec(carriers="dictionary", rate_distortion=True),
)
