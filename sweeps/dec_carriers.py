"""DermaMNIST, MLP: 1000 images stolen by DEC in every carrier and by Transpose, with and without scrubbing.

python -m lwlrd_jax.sweep --config sweeps/dec_carriers.py
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.3,0.5,0.8"),
  finishing=Finishing(finish="none,scrub"),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec", stolen=1000),
  dec=Dec(carriers="all,early,late,dead,values,signs,dictionary"),
)
