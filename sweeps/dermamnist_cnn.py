"""DermaMNIST, CNN, 256 images stolen by the Transpose attack, nine decays at the default rate.

    python -m lwlrd_jax.sweep --config sweeps/dermamnist_cnn.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/dermamnist_cnn.py --dataset npz --npz FILE

Cost: about 15 minutes on 2 cores.

Measured with `--no-baselines --lrs 0.01,0.02 --decays 0.5,0.6,0.7,0.8,1` on images of DermaMNIST's own splits resized
from 200 x 150 pixels (real images, not the official bytes), seed 0; decay 1 is high-LR:

    untreated            AUC .895   re-id .973   SSIM .904
    never infected       AUC .888   re-id .004   SSIM .141   (mean training image: SSIM .461)
    lr 0.01  decay 0.6   AUC .890   re-id .262   SSIM .336
    lr 0.01  decay 0.8   AUC .865   re-id .023   SSIM .286
    lr 0.01  decay 1     AUC .810   re-id .008   SSIM .288
    lr 0.02  decay 0.5   AUC .885   re-id .070   SSIM .241
    lr 0.02  decay 0.6   AUC .883   re-id .039   SSIM .277
    lr 0.02  decay 0.7   AUC .849   re-id .012   SSIM .293
    lr 0.02  decay 1     AUC .500   re-id .000   SSIM .299

LWLRD is far better than high-LR at either rate, but no schedule tried takes re-identification below 2 % at no more than
.01 of AUC: it gets there either with .04 re-identified or with .03 of AUC lost. Twice the epochs stop the attack (re-id
.004 at lr 0.015, decay 0.6) and overfit (AUC .857).
"""

from lwlrd_jax.config import Data, Infection, SweepConfig

CONFIG = SweepConfig(data=Data(dataset="dermamnist", model="cnn"), infection=Infection(stolen=256))
