"""Ablation: how much of the training data the defence sees, and whether stolen images are among it.

    python -m lwlrd_jax.sweep --config sweeps/ablation_share.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_share.py --dataset npz --npz FILE

Cost: about 50 minutes on 2 cores, beside other work and with infected models from the cache.

Measured on DermaMNIST's own splits, rebuilt from HAM10000 (other bytes than the official ones), with decay 0.8 at
0.02: images re-identified, in percent, and test AUC, with 95 % intervals over infections and images. *: counts as
stopped in all three infections. All of them: the stolen images are 3.7 % of the training split, so a share of 1 % holds
stolen images only. The number of steps is that of the whole split in every row.

    share  stolen images  Transpose                                  DEC in values
    untreated             97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    1 %    as chance has  10.7 [ 0.0, 60.0]   0.598 [0.539, 0.661]     4.2 [ 1.3,   7.4]   0.670 [0.605, 0.737]
    1 %    none           28.1 [ 0.0, 92.5]   0.645 [0.510, 0.740]     4.2 [ 1.9,   6.7]   0.656 [0.610, 0.696]
    1 %    all            15.1 [ 0.0, 77.4]   0.632 [0.543, 0.717]     4.0 [ 1.6,   6.5]   0.654 [0.596, 0.716]
    5 %    as chance has   0.9 [ 0.0,  3.4]*  0.697 [0.623, 0.773]     2.1 [ 0.0,   4.6]   0.717 [0.696, 0.738]
    5 %    none            0.5 [ 0.0,  2.1]*  0.694 [0.640, 0.755]     2.9 [ 0.7,   5.0]   0.718 [0.686, 0.750]
    5 %    all             0.8 [ 0.3,  1.7]*  0.685 [0.622, 0.745]     2.7 [ 0.0,   6.4]   0.716 [0.656, 0.771]
    25 %   as chance has   0.3 [ 0.0,  0.9]*  0.781 [0.759, 0.801]     2.7 [ 0.6,   5.1]   0.806 [0.780, 0.833]
    25 %   none            0.3 [ 0.0,  1.0]*  0.781 [0.759, 0.803]     1.7 [ 0.7,   2.9]*  0.812 [0.785, 0.841]
    25 %   all             0.5 [ 0.0,  1.3]*  0.793 [0.737, 0.862]     2.0 [ 0.4,   4.5]*  0.798 [0.779, 0.817]
    100 %                  0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]

What fewer images cost is utility: a quarter of them leaves as little of both attacks as all do, at 0.06 to 0.07 less
AUC. Whether stolen images are among those that the defence sees makes no distinguishable difference in any row.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIGS = {
  f"{share:g}-{overlap}": SweepConfig(
    tuning=FineTuning(decays="0.8", share=share, overlap=overlap, baselines=False),
    finishing=Finishing(finish="none"),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
  )
  for share in (0.01, 0.05, 0.25, 1.0)
  for overlap in (("any", "none", "all") if share < 1 else ("any",))
}
