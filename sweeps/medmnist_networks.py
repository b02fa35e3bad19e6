"""DermaMNIST and ChestMNIST at 28 pixels, ResNet-18 and ViT, both attack families, augmented: a study for a GPU.

    python -m lwlrd_jax.sweep --config sweeps/medmnist_networks.py --data-dir FOLDER --out runs/medmnist-networks

Takes the official dermamnist.npz and chestmnist.npz from FOLDER, or downloads them into it. A stopped study
is resumed with the same command and `--resume`. Skin has no up, so it is put in any orientation; radiographs are
shifted and flipped (`--augment`).

Rates are tried at three sizes, since those of these networks are a first guess. Models train for 4000 steps: DermaMNIST
for 74 epochs, ChestMNIST for 6.

Cost and figures: not measured, no GPU was at hand. On 2 cores a step of ResNet-18 at this size takes 1.5 s, so take
`sweeps/nih_chest.py` there; what the networks and the recipe reach on their task alone, `benchmarks/utility.py` says.
"""

from lwlrd_jax.config import Data, FineTuning, Finishing, Infection, SweepConfig

_LRS = {"resnet18": "0.003,0.01,0.03", "vit": "0.0015,0.005,0.015"}
_AUGMENT = {"dermamnist": "dihedral", "chestmnist": "flip"}

CONFIGS = {
  f"{dataset}-{model}": SweepConfig(
    tuning=FineTuning(decays="0.5:0.9:3", lrs=lrs),
    finishing=Finishing(finish="none,scrub"),
    data=Data(dataset=dataset, model=model, augment=augment),
    infection=Infection(attacks="transpose,dec", stolen=512, infect_steps=4000),
  )
  for dataset, augment in _AUGMENT.items()
  for model, lrs in _LRS.items()
}
