"""Ablation: the decay. DermaMNIST, MLP; Transpose, and DEC in the weights' own values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_decay.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_decay.py --dataset npz --npz FILE

Cost: about half an hour on 2 cores, beside other work and with infected models from the cache.

Measured on DermaMNIST's own splits, rebuilt from HAM10000 (other bytes than the official ones): images re-identified,
in percent, and test AUC, with 95 % intervals over infections and images. *: counts as stopped in all three
infections. A model never infected: 0 %, AUC 0.879 [0.857, 0.899].

    decay        Transpose                                  DEC in values
    untreated    97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    0.1          89.3 [84.7, 93.4]   0.863 [0.836, 0.891]    65.0 [58.8,  70.7]   0.888 [0.875, 0.900]
    0.2          88.2 [82.6, 93.6]   0.876 [0.845, 0.917]    52.2 [43.3,  63.2]   0.885 [0.871, 0.898]
    0.3          82.6 [75.0, 90.5]   0.882 [0.865, 0.898]    38.4 [29.2,  46.4]   0.885 [0.868, 0.899]
    0.4          75.1 [57.8, 89.1]   0.880 [0.841, 0.911]    20.9 [17.9,  24.2]   0.887 [0.867, 0.904]
    0.5          46.5 [34.2, 62.7]   0.879 [0.844, 0.906]    11.2 [ 6.8,  15.5]   0.887 [0.869, 0.903]
    0.6          15.4 [ 0.0, 25.5]   0.876 [0.861, 0.890]     6.1 [ 3.3,   9.1]   0.885 [0.872, 0.897]
    0.7           3.3 [ 1.6,  5.3]   0.866 [0.846, 0.885]     3.5 [ 0.0,   7.9]   0.883 [0.866, 0.899]
    0.8           0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]
    0.9           0.3 [ 0.0,  0.9]*  0.806 [0.546, 0.956]     1.4 [ 0.2,   2.8]*  0.870 [0.852, 0.887]
    1             0.1 [ 0.0,  0.8]*  0.813 [0.691, 0.930]     1.0 [ 0.0,   2.6]*  0.862 [0.845, 0.876]

The larger the decay, the less is left of either attack; from 0.7 on AUC pays for it. Both are stopped from 0.9 on,
where AUC under Transpose is 0.71 (decay 0.9) and 0.76 (decay 1) in one of three infections.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.1:1:10", baselines=False),
  finishing=Finishing(finish="none"),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
)
