"""The study: every attack against every defence on two data sets, three infections each; a table for each claim.

    python -m lwlrd_jax.sweep --config sweeps/study.py --out runs/study

Takes the official dermamnist.npz and pneumoniamnist.npz from --data-dir or downloads them. Stopped, it goes on with
`--resume`. In the end runs/study has a folder for each run, comparison.html, and results.md: one section for each of
the paper's claims, with intervals and where it holds.
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Finishing, Infection, SweepConfig

CONFIGS = {
  f"{dataset}-mlp": SweepConfig(
    tuning=FineTuning(decays="0.3,0.5,0.8"),
    finishing=Finishing(finish="none,scrub"),
    data=Data(dataset=dataset, model="mlp"),
    infection=Infection(
      attacks="transpose,heavy,flat,rehearsed,restorer,dec,redundant,spread",
      stolen=256,
      seeds=3,
    ),
    dec=Dec(carriers="all,late,dead,values,signs,dictionary"),
  )
  for dataset in ("pneumoniamnist", "dermamnist")
}
