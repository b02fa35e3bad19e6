"""DermaMNIST, CNN, 512 images stolen by the Transpose attack, nine decays at the default rate.

    python -m lwlrd_jax.sweep --config sweeps/dermamnist_cnn.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/dermamnist_cnn.py --dataset npz --npz FILE

Cost: about 15 minutes on 2 cores.

The figures are of commit bb1cf343. Attackers recover more since (`unmixed`, among the post-processings): what is called
stopped here has to be measured again.

Measured with `--no-baselines --decays 0.5,0.6,0.65,0.7,0.8,1` on images of DermaMNIST's own splits resized from 200 x
150 pixels (real images, not the official bytes), seed 0; decay 1 is high-LR:

    untreated            AUC .842   re-id .984   SSIM .923
    never infected       AUC .891   re-id .000   SSIM .133   (mean training image: SSIM .462)
    LWLRD decay 0.5      AUC .877   re-id .133   SSIM .331
    LWLRD decay 0.6      AUC .880   re-id .139   SSIM .438
    LWLRD decay 0.65     AUC .871   re-id .031   SSIM .368
    LWLRD decay 0.7      AUC .831   re-id .018   SSIM .374
    LWLRD decay 0.8      AUC .843   re-id .002   SSIM .196   stops it at no cost to the untreated model's AUC
    high-LR              AUC .500   re-id .002   SSIM .304

Against the model that was never infected it costs .05 of AUC: memorising 512 images has cost that already. With
`--stolen 256` memorising costs nothing (untreated AUC .895), and no schedule tried keeps that: decay 0.6 leaves re-id
.039 at AUC .883, decay 0.7 re-id .012 at AUC .849. Twice the epochs stop the attack and overfit (AUC .857).
"""

from lwlrd_jax.config import Data, Infection, SweepConfig

CONFIG = SweepConfig(data=Data(dataset="dermamnist", model="cnn"), infection=Infection(attacks="transpose", stolen=512))
