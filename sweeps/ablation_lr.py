"""Ablation: the largest learning rate, lr_max. DermaMNIST, MLP; Transpose, and DEC in values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_lr.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_lr.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.5,0.8", lrs="0.002,0.005,0.01,0.02,0.04", baselines=False),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
)
