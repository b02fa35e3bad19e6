"""DermaMNIST, MLP: 1000 images stolen by DEC in every carrier, and by Transpose; each schedule with and without scrub.

    python -m lwlrd_jax.sweep --config sweeps/dec_carriers.py

Takes the official dermamnist.npz from --data-dir or downloads it. A file of your own, in the same form:

    python -m lwlrd_jax.sweep --config sweeps/dec_carriers.py --dataset npz --npz FILE

Cost: about 35 minutes on 2 cores; 4 GB of memory.

The figures are of commit bb1cf343. Attackers recover more since (`unmixed`, among the post-processings): what is called
stopped here has to be measured again.

Measured on images of DermaMNIST's own splits resized from 200 x 150 pixels (real images, not the official bytes),
seed 0. The payload is 0.41 MB; the codec alone reaches 33.4 dB, and so does every untreated model (BER 0). Hiding moves
AUC from .8829 by less than .0001, but for values (.8766) and signs (.8792).

BER / re-identification:

                       all         early       late        dead        dictionary  values      signs
    vanilla            .44 / .020  .44 / .018  .43 / .006  .00 / 1.00  .00 / 1.00  .01 / 1.00  .01 / .995
      then scrub       .50 / .000  .50 / .000  .50 / .002  .50 / .001  .50 / .001  .04 / .995  .02 / .991
    Super-FT short     .50 / .001  .50 / .000  .50 / .001  .46 / .063  .00 / 1.00  .00 / 1.00  .00 / .998
      then scrub       .50 / .001  .50 / .001  .50 / .001  .50 / .001  .50 / .001  .03 / .998  .01 / .995
    Super-FT long      .48 / .003  .47 / .002  .50 / .001  .00 / 1.00  .00 / 1.00  .12 / .720  .13 / .756
      then scrub       .50 / .000  .50 / .000  .50 / .000  .50 / .000  .50 / .001  .14 / .681  .14 / .756
    reversed 0.5       .42 / .024  .44 / .019  .35 / .083  .00 / 1.00  .00 / 1.00  .24 / .549  .25 / .326
      then scrub       .50 / .001  .50 / .000  .50 / .002  .50 / .001  .50 / .001  .31 / .348  .34 / .122
    high-LR            .39 / .068  .42 / .065  .31 / .175  .00 / 1.00  .00 / 1.00  .41 / .021  .40 / .037
      then scrub       .50 / .000  .50 / .000  .50 / .001  .50 / .001  .50 / .001  .48 / .003  .48 / .000
    LWLRD 0.3          .38 / .113  .42 / .061  .26 / .305  .00 / 1.00  .00 / 1.00  .31 / .543  .32 / .217
      then scrub       .50 / .000  .50 / .000  .50 / .001  .50 / .001  .50 / .001  .46 / .004  .46 / .001
    LWLRD 0.5          .39 / .093  .42 / .049  .27 / .292  .00 / 1.00  .00 / 1.00  .35 / .236  .35 / .106
      then scrub       .50 / .001  .50 / .001  .50 / .000  .50 / .001  .50 / .001  .47 / .004  .46 / .003
    LWLRD 0.8          .39 / .076  .42 / .054  .29 / .191  .00 / 1.00  .00 / 1.00  .41 / .049  .39 / .034
      then scrub       .50 / .001  .50 / .000  .50 / .000  .50 / .000  .50 / .001  .48 / .003  .47 / .003

No fine-tuning alone stops all seven carriers. Scrubbing closes mantissas, dead weights and extra tensors after any
schedule, values and signs only after large rates in the layers that hold most weights. Both together stop all seven;
values and signs keep bit error rates of .46 to .48 then. An attacker who makes more of that gets through: `--attacks
spread`.

After LWLRD and scrub 0.4 to 2.2 kB survive in the mantissas (untreated: 13.0 MB), at most 144 bytes in dead weights
(before: 0.8 to 2.8 MB). Scrubbing costs at most .007 of AUC:

    AUC, LWLRD then scrub   all          early        late         dead         dictionary   values       signs
    LWLRD 0.3               .882, .882   .879, .874   .878, .875   .876, .874   .881, .874   .885, .883   .886, .885
    LWLRD 0.5               .882, .881   .877, .878   .880, .876   .882, .876   .877, .874   .877, .871   .895, .894
    LWLRD 0.8               .810, .809   .851, .848   .865, .864   .859, .854   .883, .879   .867, .865   .875, .873

Super-FT short owes its .46 on dead weights to weight decay, which shrinks them all by one factor: an attacker who knows
it can undo it. Transpose, of 1000 images: untreated re-id .993 at AUC .877; vanilla .992 at .891, then scrub .001 at
.888; LWLRD 0.8 .548 at .813, then scrub .001 at .812. Its memory lives in units that are silent when the network
classifies, so that re-initialising dead weights destroys it, whatever the schedule (re-id .017 at most).
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.3,0.5,0.8"),
  finishing=Finishing(finish="none,scrub"),
  data=Data(dataset="dermamnist", model="mlp"),
  infection=Infection(attacks="transpose,dec", stolen=1000),
  dec=Dec(carriers="all,early,late,dead,values,signs,dictionary"),
)
