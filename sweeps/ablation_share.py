"""Ablation: how much of the training data the defence sees, and whether stolen images are among it.

    python -m lwlrd_jax.sweep --config sweeps/ablation_share.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_share.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

CONFIGS = {
  f"{share:g}-{overlap}": SweepConfig(
    tuning=FineTuning(decays="0.8", share=share, overlap=overlap, baselines=False),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
  )
  for share in (0.01, 0.05, 0.25, 1.0)
  for overlap in (("any", "none", "all") if share < 1 else ("any",))
}
