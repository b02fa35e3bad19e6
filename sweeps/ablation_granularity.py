"""Ablation: what the decay counts, layers with parameters or blocks of them. DermaMNIST, CNN; Transpose, DEC in values.

    python -m lwlrd_jax.sweep --config sweeps/ablation_granularity.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_granularity.py --dataset npz --npz FILE

Not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIGS = {
  granularity: SweepConfig(
    tuning=FineTuning(decays="0.3,0.6", granularity=granularity, baselines=False),
    finishing=Finishing(finish="none"),
    data=Data(dataset="dermamnist", model="cnn"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=2),
  )
  for granularity in ("layer", "block")
}
