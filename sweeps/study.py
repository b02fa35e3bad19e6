"""The study: attacks of both families against every defence on two data sets, three infections each.

    python -m lwlrd_jax.sweep --config sweeps/study.py --npz DERMAMNIST --data-dir FOLDER --out runs/study

DERMAMNIST is a file of DermaMNIST's images in MedMNIST's form; the official pneumoniamnist.npz is taken from FOLDER,
or, without `--data-dir`, from the cache or the official address. A stopped study is resumed with `--resume`. In the
end runs/study has a folder for each run, and comparison.html. `python -m paper runs/study/*/ --out results.md` writes a
section and table for each of the paper's claims, with intervals and where it holds.

docs/results.md is what it found, in 7 hours on 2 CPU cores (with other work beside it). Flags win over what stands
here: `--attacks transpose` takes 18 minutes, and its 150 rows were those of the whole study to the last bit, from
another clone and without anything in the cache.
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

# Two classes are two numbers an index code can be made of, and a network without biases gives the same image, only
# brighter, all along a ray: what it memorises lies on a curve. 256 images are too many for that: untreated, 6 % of them
# are recognised (`--stolen 256 --infect-steps 1076`), and 33 % after `--infect-steps 4000` (one infection).
_PNEUMONIAMNIST = {"stolen": 64, "infect_steps": 3000}
_DERMAMNIST = {"stolen": 256}

CONFIGS = {
  name: SweepConfig(
    # As many rates of high-LR as decays of LWLRD: neither has more tries.
    tuning=FineTuning(decays="0.3,0.5,0.8", high_lrs="0.002,0.006,0.02"),
    finishing=Finishing(finish="none,scrub"),
    data=Data(dataset=dataset, model="mlp"),
    infection=Infection(
      attacks="transpose,heavy,flat,rehearsed,restorer,dec,redundant,spread",
      seeds=3,
      **size,
    ),
    dec=Dec(carriers="late,dead,values,signs,dictionary"),
  )
  for name, dataset, size in (
    ("pneumoniamnist-mlp", "pneumoniamnist", _PNEUMONIAMNIST),
    ("dermamnist-mlp", "npz", _DERMAMNIST),
  )
}
