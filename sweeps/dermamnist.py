"""DermaMNIST, MLP, 512 images stolen by the Transpose attack, nine decays at the default rate.

    python -m lwlrd_jax.sweep --config sweeps/dermamnist.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/dermamnist.py --dataset npz --npz FILE

Cost: about 8 minutes on 2 cores, 5 once the infected model is in the cache; 3 GB of memory.

The figures are of commit bb1cf343. Attackers recover more since (`unmixed`, among the post-processings): what is called
stopped here has to be measured again.

Measured on images of DermaMNIST's own splits resized from 200 x 150 pixels (real images, not the official bytes),
seed 0:

    untreated            AUC .873   re-id .984   SSIM .989
    never infected       AUC .858   re-id .002   SSIM .143   (mean training image: SSIM .462)
    vanilla              AUC .885   re-id .984   SSIM .983
    LWLRD decay 0.1      AUC .883   re-id .809   SSIM .479   (naive SSIM -.027)
    LWLRD decay 0.5      AUC .892   re-id .535   SSIM .409
    LWLRD decay 0.8      AUC .866   re-id .010   SSIM .363   the only one that stops it at no more than .01 of AUC
    LWLRD decay 0.9      AUC .840   re-id .008   SSIM .387
    high-LR              AUC .838   re-id .002   SSIM .350
    reversed decay 0.5   AUC .876   re-id .467   SSIM .409
    Super-FT long        AUC .500   re-id .016   SSIM .250
    Super-FT short       AUC .855   re-id .982   SSIM .932

AUC varies by about .015 from one neighbouring schedule to the next: one infection does not order close ones.
"""

from lwlrd_jax.config import Data, Infection, SweepConfig

CONFIG = SweepConfig(data=Data(dataset="dermamnist", model="mlp"), infection=Infection(attacks="transpose", stolen=512))
