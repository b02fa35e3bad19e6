"""Ablation: the length of the fine-tuning. DermaMNIST, MLP; Transpose, and DEC in values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_epochs.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_epochs.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig

CONFIGS = {
  f"epochs-{epochs}": SweepConfig(
    tuning=FineTuning(decays="0.5,0.8", epochs=epochs, baselines=False),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
  )
  for epochs in (1, 3, 6, 12)
}
