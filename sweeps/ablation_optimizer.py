"""Ablation: the inner optimizer, each at several rates. DermaMNIST, MLP; Transpose, and DEC in values.

    python -m lwlrd_jax.sweep --config sweeps/ablation_optimizer.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_optimizer.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

_RATES = {"adam": "0.005,0.02", "sgd": "0.1,0.3,1", "momentum": "0.02,0.05,0.1"}

CONFIGS = {
  optimizer: SweepConfig(
    tuning=FineTuning(decays="0.8", optimizer=optimizer, lrs=rates, baselines=False),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
  )
  for optimizer, rates in _RATES.items()
}
