"""DermaMNIST, CNN, 256 images stolen by the Transpose attack, nine decays at the default rate.

    python -m lwlrd_jax.sweep --config sweeps/dermamnist_cnn.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/dermamnist_cnn.py --dataset npz --npz FILE

@FIGURES@
"""

from lwlrd_jax.config import Data, Infection, SweepConfig

CONFIG = SweepConfig(data=Data(dataset="dermamnist", model="cnn"), infection=Infection(stolen=256))
