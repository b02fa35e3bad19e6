"""Ablation: the inner optimizer, each at several rates. DermaMNIST, MLP; Transpose, and DEC in values.

    python -m lwlrd_jax.sweep --config sweeps/ablation_optimizer.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_optimizer.py --dataset npz --npz FILE

Cost: about 10 minutes on 2 cores for the rows below, with infected models from the cache.

Measured so far, on DermaMNIST's own splits rebuilt from HAM10000 (other bytes than the official ones), with decay
0.8: images re-identified, in percent, and test AUC, with 95 % intervals over infections and images. *: counts as
stopped in all three infections. A model never infected: 0 %, AUC 0.879 [0.857, 0.899].

    optimizer  lr_max     Transpose                                  DEC in values
    untreated             97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    adam       0.005      93.6 [91.7, 95.6]   0.882 [0.865, 0.897]    40.5 [33.0,  49.3]   0.902 [0.891, 0.912]
    adam       0.02        0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]
    sgd        0.1        diverges                                   100.0 [99.5, 100.0]   0.899 [0.878, 0.918]
    sgd        0.3        diverges                                    92.9 [70.6, 100.0]   0.888 [0.870, 0.903]
    sgd        1          diverges                                   diverges
    momentum   0.02        9.2 [ 0.0, 54.7]   0.579 [0.367, 0.983]   100.0 [99.5, 100.0]   0.895 [0.873, 0.915]
    momentum   0.05       diverges                                   100.0 [99.5, 100.0]   0.890 [0.869, 0.911]
    momentum   0.1        diverges                                    91.7 [55.5, 100.0]   0.888 [0.867, 0.909]

A model that Transpose was trained into diverges under SGD at rates that do nothing to DEC. (A guess why: SGD's steps
follow the size of the gradient, Adam's are of one size everywhere.) The other rates below are not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

_RATES = {"adam": "0.005,0.02", "sgd": "0.003,0.01,0.03,0.1,0.3,1", "momentum": "0.001,0.005,0.02,0.05,0.1"}

CONFIGS = {
  optimizer: SweepConfig(
    tuning=FineTuning(decays="0.8", optimizer=optimizer, lrs=rates, baselines=False),
    finishing=Finishing(finish="none"),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
  )
  for optimizer, rates in _RATES.items()
}
