"""DermaMNIST, CNN: 1000 images stolen by DEC, LWLRD with and without scrub.

    python -m lwlrd_jax.sweep --config sweeps/dec_carriers_cnn.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/dec_carriers_cnn.py --dataset npz --npz FILE

Cost: about half an hour on 2 cores; 4 GB of memory.

The figures are of commit bb1cf343. Attackers recover more since (`unmixed`, among the post-processings): what is called
stopped here has to be measured again.

Measured on images of DermaMNIST's own splits resized from 200 x 150 pixels (real images, not the official bytes),
seed 0. Payload, codec and untreated models as in dec_carriers.py (BER 0, 33.4 dB). Hiding leaves AUC at .8982, but for
values (.9010).

BER / re-identification / AUC (the middle decays with values alone):

                   all                  early                late                 dead                 dictionary
    LWLRD 0.5      .42 / .013 / .861    .40 / .019 / .854    .48 / .000 / .879    .00 / 1.00 / .873    .00 / 1.00 / .864
      then scrub   .50 / .001 / .863    .50 / .000 / .853    .50 / .001 / .875    .50 / .001 / .873    .50 / .001 / .865
    LWLRD 0.8      .39 / .028 / .741    .38 / .027 / .706    .43 / .006 / .754    .00 / 1.00 / .763    .00 / 1.00 / .742
      then scrub   .50 / .001 / .740    .50 / .001 / .699    .50 / .000 / .750    .50 / .000 / .760    .50 / .001 / .734

    values         LWLRD 0.5            LWLRD 0.6            LWLRD 0.7            LWLRD 0.8
                   .29 / .388 / .858    .32 / .222 / .815    .34 / .154 / .757    .34 / .105 / .500
      then scrub   .43 / .062 / .850    .46 / .012 / .822    .48 / .005 / .756    .50 / .001 / .500

Mantissas, dead weights and extra tensors are closed at a decay that keeps most of the task. Values are not: what stops
them costs .08 of AUC and more. After scrub 0.4 to 2 kB survive in the mantissas (3.7 kB at worst; untreated: 12.4 MB),
at most 60 bytes in dead weights.
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.5,0.6,0.7,0.8", baselines=False),
  finishing=Finishing(finish="none,scrub"),
  data=Data(dataset="dermamnist", model="cnn"),
  infection=Infection(attacks="dec", stolen=1000),
  dec=Dec(carriers="all,early,late,dead,values,dictionary"),
)
