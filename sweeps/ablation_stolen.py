"""Ablation: how many images the thief takes. DermaMNIST, MLP; Transpose, and DEC in values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_stolen.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_stolen.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

CONFIGS = {
  f"stolen-{stolen}": SweepConfig(
    tuning=FineTuning(decays="0.5,0.8", baselines=False),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=stolen, seeds=3),
  )
  for stolen in (32, 128, 512, 2000)
}
