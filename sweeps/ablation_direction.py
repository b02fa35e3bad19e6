"""Ablation: the direction of the decay: early-heavy, late-heavy, or the same rate everywhere (decay 1).

    python -m lwlrd_jax.sweep --config sweeps/ablation_direction.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_direction.py --dataset npz --npz FILE

Cost: about 20 minutes on 2 cores, beside other work and with infected models from the cache.

Measured on DermaMNIST's own splits, rebuilt from HAM10000 (other bytes than the official ones): images re-identified,
in percent, and test AUC, with 95 % intervals over infections and images. *: counts as stopped in all three
infections. A model never infected: 0 %, AUC 0.879 [0.857, 0.899].

    decay              Transpose                                  DEC in values
    untreated          97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    0.5 early-heavy    46.5 [34.2, 62.7]   0.879 [0.844, 0.906]    11.2 [ 6.8,  15.5]   0.887 [0.869, 0.903]
    0.5 late-heavy      4.0 [ 0.0, 13.9]   0.881 [0.854, 0.904]    33.3 [21.3,  44.0]   0.890 [0.873, 0.905]
    0.8 early-heavy     0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]
    0.8 late-heavy      0.3 [ 0.0,  1.0]*  0.870 [0.853, 0.888]     4.9 [ 2.9,   7.0]   0.880 [0.861, 0.901]
    1, uniform          0.1 [ 0.0,  0.8]*  0.813 [0.691, 0.930]     1.0 [ 0.0,   2.6]*  0.862 [0.845, 0.876]

Early-heavy reaches more of DEC; more than half of this network's weights are in its first layer. Of Transpose
late-heavy leaves less at decay 0.5 and no more at 0.8, at no less AUC. docs/results.md has late-heavy decay 0.5
against twelve attacks.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.5,0.8,1", directions="early,late", baselines=False),
  finishing=Finishing(finish="none"),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
)
