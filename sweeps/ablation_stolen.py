"""Ablation: how many images the attacker takes. DermaMNIST, MLP; Transpose, and DEC in values; three infections.

    python -m lwlrd_jax.sweep --config sweeps/ablation_stolen.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/ablation_stolen.py --dataset npz --npz FILE

Cost: about 45 minutes on 2 cores for the rows below, beside other work; the infections alone take 4.2 steps an image.

Measured so far, on DermaMNIST's own splits rebuilt from HAM10000 (other bytes than the official ones), at 0.02: images
re-identified, in percent, and test AUC, with 95 % intervals over infections and images. *: counts as stopped in all
three infections. The rows of 256 images are those of sweeps/ablation_lr.py.

    stolen  decay      Transpose                                  DEC in values
    32      untreated  91.7 [84.4, 98.6]   0.868 [0.848, 0.886]   100.0 [96.2, 100.0]   0.869 [0.844, 0.891]
    32      0.5         5.2 [ 0.0, 16.4]   0.885 [0.868, 0.899]     6.2 [ 0.0,  26.5]   0.886 [0.871, 0.900]
    32      0.8         1.0 [ 0.0,  6.6]   0.844 [0.812, 0.876]     0.0 [ 0.0,   3.8]*  0.869 [0.848, 0.887]
    128     untreated  96.4 [93.4, 99.1]   0.866 [0.848, 0.884]   100.0 [99.0, 100.0]   0.872 [0.852, 0.890]
    128     0.5        20.8 [13.8, 27.5]   0.885 [0.868, 0.901]     6.0 [ 0.6,  11.1]   0.887 [0.873, 0.899]
    128     0.8         0.3 [ 0.0,  1.7]*  0.853 [0.834, 0.872]     1.3 [ 0.0,   4.0]   0.875 [0.853, 0.896]
    256     untreated  97.4 [95.6, 99.3]   0.857 [0.836, 0.876]   100.0 [99.5, 100.0]   0.875 [0.848, 0.904]
    256     0.5        46.5 [34.2, 62.7]   0.879 [0.844, 0.906]    11.2 [ 6.8,  15.5]   0.887 [0.869, 0.903]
    256     0.8         0.4 [ 0.0,  1.1]*  0.844 [0.822, 0.868]     2.6 [ 0.6,   5.1]   0.876 [0.857, 0.894]
    512     untreated  98.5 [97.8, 99.2]   0.874 [0.851, 0.895]   100.0 [99.8, 100.0]   0.871 [0.849, 0.890]
    512     0.5        80.3 [70.3, 96.8]   0.881 [0.841, 0.913]    18.0 [15.3,  20.8]   0.885 [0.866, 0.901]
    512     0.8         5.5 [ 0.0, 11.6]   0.854 [0.829, 0.883]     3.7 [ 2.4,   5.1]   0.871 [0.852, 0.888]

The more images an attacker takes, the larger a part of them a schedule leaves them: at decay 0.5 5 % of 32, and 80 % of
512. A schedule that was found against few says little of many. The rows of 2000 images are not measured yet.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

CONFIGS = {
  f"stolen-{stolen}": SweepConfig(
    tuning=FineTuning(decays="0.5,0.8", baselines=False),
    finishing=Finishing(finish="none"),
    data=Data(dataset="dermamnist", model="mlp"),
    infection=Infection(attacks="transpose,dec-values", stolen=stolen, seeds=3),
  )
  for stolen in (32, 128, 512, 2000)
}
