"""DermaMNIST, CNN: 1000 images stolen by DEC.

python -m lwlrd_jax.sweep --config sweeps/dec_carriers_cnn.py
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.8", baselines=False),
  finishing=Finishing(finish="none,scrub"),
  data=Data(dataset="dermamnist", model="cnn"),
  infection=Infection(attacks="dec", stolen=1000),
  dec=Dec(carriers="all,early,late,dead,values,dictionary"),
)
