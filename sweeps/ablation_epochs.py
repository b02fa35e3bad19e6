"""Ablation: the length of the fine-tuning. DermaMNIST, MLP; Transpose, and DEC in values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_epochs.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_epochs.py --dataset npz --npz FILE

Cost: about 20 minutes on 2 cores, with infected models from the cache.

Measured on DermaMNIST's own splits, rebuilt from HAM10000 (other bytes than the official ones): images re-identified,
in percent, and test AUC, with 95 % intervals over infections and images. *: counts as stopped in all three
infections. A model never infected: 0 %, AUC 0.879 [0.857, 0.899].

    epochs  decay      Transpose                                  DEC in values
    untreated          97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    1       0.5        91.9 [89.8, 93.9]   0.748 [0.670, 0.828]    17.7 [13.8,  21.8]   0.721 [0.670, 0.766]
    1       0.8        56.9 [28.5, 77.5]   0.756 [0.726, 0.787]     3.5 [ 1.6,   5.7]   0.721 [0.645, 0.787]
    3       0.5        85.3 [77.3, 91.8]   0.825 [0.796, 0.853]    12.6 [ 9.5,  15.8]   0.812 [0.777, 0.841]
    3       0.8         8.9 [ 3.2, 16.2]   0.804 [0.754, 0.848]     2.7 [ 1.3,   4.3]   0.813 [0.781, 0.844]
    6       0.5        75.8 [64.5, 84.6]   0.856 [0.825, 0.883]    12.8 [ 8.9,  17.3]   0.853 [0.813, 0.887]
    6       0.8         1.3 [ 0.0,  2.7]*  0.831 [0.763, 0.890]     2.2 [ 1.1,   3.5]   0.848 [0.826, 0.868]
    12      0.5        46.5 [34.2, 62.7]   0.879 [0.844, 0.906]    11.2 [ 6.8,  15.5]   0.887 [0.869, 0.903]
    12      0.8         0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]

Time helps twice: memories go on being overwritten, and the task heals from the first large steps. What hides in
values is damaged within the first epoch, and hardly further.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIGS = {
  f"epochs-{epochs}": SweepConfig(
    tuning=FineTuning(decays="0.5,0.8", epochs=epochs, baselines=False),
    finishing=Finishing(finish="none"),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=256, seeds=3),
  )
  for epochs in (1, 3, 6, 12)
}
