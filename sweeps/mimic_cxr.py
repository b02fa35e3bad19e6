"""MIMIC-CXR-JPG, frontal views at 28 pixels, MLP, 512 images stolen by both attack families, with scrub and without.

    python -m lwlrd_jax.sweep --config sweeps/mimic_cxr.py --mimic-dir DIR

DIR is your own copy: `files/p10` to `files/p19`, and mimic-cxr-2.0.0-split, -metadata and -chexpert, each as .csv or
.csv.gz. Credentialed users get it from https://physionet.org/content/mimic-cxr-jpg; nothing here downloads it, and it
is only read. `--data-dir` names a folder for the prepared set, if the user's cache is not the place for patients.

Others of its variants, which need no new preparation:

    ... --views PA                 (or AP, LATERAL, LL, all)
    ... --uncertain ones           (or zeros; the default leaves uncertain findings out)
    ... --labeler negbio

Reports show no pictures of these images unless `--show-stolen` is given.

Cost: not measured, and no figures: no copy of the data was at hand. The first run decodes every JPEG, which takes
longest by far, and goes on where it was if it is stopped; later runs read the prepared set.
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

CONFIG = SweepConfig(
  tuning=FineTuning(decays="0.3:0.8:3", epochs=1),
  finishing=Finishing(finish="none,scrub"),
  data=Data(dataset="mimic-cxr", views="frontal", uncertain="ignore", model="mlp"),
  infection=Infection(attacks="transpose,dec", stolen=512),
  dec=Dec(carriers="all,dead"),
)
