"""Ablation: the decay. DermaMNIST, MLP; Transpose, and DEC in the weights' own values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_decay.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_decay.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.1:1:10", baselines=False),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
)
