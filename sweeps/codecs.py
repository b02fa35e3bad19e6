"""Image codecs by bytes and decibels: the learned one at four lambdas against WebP, JPEG and PNG, headers and all.

    python -m lwlrd_jax.sweep --config sweeps/codecs.py

Takes the official dermamnist.npz from --data-dir or downloads it. Other images, a file in the same form:

    python -m lwlrd_jax.sweep --config sweeps/codecs.py --dataset npz --npz FILE

The learned codec is trained on the validation split, all are measured on 256 images of the test split (or all of them,
if they are fewer). The report draws the curves; rate_distortion.json has the points.

Cost: about 4 minutes on 2 cores at 28 pixels, 7 at 64; 3 GB of memory.

Measured: how much the learned codec, entropy-coded, is better at equal bytes, over all sizes that both reach.

                                                    WebP                            JPEG
    DermaMNIST, 28 px, colour (1003 images)         2.2 to 3.7 dB (87-251 bytes)    its smallest files are larger
    PneumoniaMNIST, 28 px, grey (524 images)        3.5 to 5.0 dB (94-202 bytes)    13.9 to 16.6 dB (175-202 bytes)
    NIH ChestX-ray14, 64 px, grey (200 images)      0.6 to 3.5 dB (176-690 bytes)   4.6 to 10.2 dB (216-690 bytes)

(in brackets: images to train on. DermaMNIST is real images in its own splits, but not the official bytes.) The
fixed-length code pays three times the bytes for a code in which a wrong bit only blurs; it is worse than WebP at equal
bytes, by 4 to 9 dB, and near JPEG.
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.8", baselines=False),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="dec"),
  dec=Dec(carriers="dictionary", rate_distortion=True),
)
