"""Ablation: the direction of the decay: early-heavy, late-heavy, or the same rate everywhere (decay 1).

    python -m lwlrd_jax.sweep --config sweeps/ablation_direction.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_direction.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.5,0.8,1", directions="early,late", baselines=False),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
)
