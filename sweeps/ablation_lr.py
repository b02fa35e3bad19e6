"""Ablation: the largest learning rate, lr_max. DermaMNIST, MLP; Transpose, and DEC in values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_lr.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_lr.py --dataset npz --npz FILE

Cost: about 25 minutes on 2 cores, beside other work and with infected models from the cache.

Measured on DermaMNIST's own splits, rebuilt from HAM10000 (other bytes than the official ones): images re-identified,
in percent, and test AUC, with 95 % intervals over infections and images. *: counts as stopped in all three
infections. A model never infected: 0 %, AUC 0.879 [0.857, 0.899].

    lr_max  decay      Transpose                                  DEC in values
    untreated          97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    0.002   0.5        95.6 [93.9, 97.1]   0.888 [0.869, 0.907]    78.8 [75.7,  82.0]   0.888 [0.870, 0.904]
    0.002   0.8        95.8 [93.9, 97.8]   0.891 [0.878, 0.903]    62.9 [50.4,  74.1]   0.886 [0.868, 0.901]
    0.005   0.5        94.7 [92.1, 97.5]   0.883 [0.866, 0.899]    57.4 [52.1,  62.3]   0.901 [0.888, 0.913]
    0.005   0.8        93.6 [91.7, 95.6]   0.882 [0.865, 0.897]    40.5 [33.0,  49.3]   0.902 [0.891, 0.912]
    0.01    0.5        90.2 [84.6, 95.5]   0.883 [0.867, 0.899]    37.1 [22.5,  48.4]   0.896 [0.879, 0.911]
    0.01    0.8        41.0 [18.0, 71.7]   0.885 [0.868, 0.901]    13.3 [ 7.5,  19.5]   0.888 [0.875, 0.900]
    0.02    0.5        46.5 [34.2, 62.7]   0.879 [0.844, 0.906]    11.2 [ 6.8,  15.5]   0.887 [0.869, 0.903]
    0.02    0.8         0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]
    0.04    0.5         1.4 [ 0.0,  5.1]   0.802 [0.767, 0.845]     1.4 [ 0.0,   3.1]*  0.871 [0.855, 0.885]
    0.04    0.8         0.3 [ 0.0,  1.0]*  0.537 [0.441, 0.695]     0.1 [ 0.0,   0.7]*  0.830 [0.798, 0.858]

Rate and decay buy the same: what is left falls with either, and so does AUC. Half the rate at decay 0.8 leaves of
both attacks about what the whole rate at decay 0.5 leaves, at the same AUC.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.5,0.8", lrs="0.002,0.005,0.01,0.02,0.04", baselines=False),
  finishing=Finishing(finish="none"),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
)
