"""Radiographs at 64 pixels with up to 14 findings each, ResNet-18 and ViT, both attack families, in a size for 2 cores.

    python -m lwlrd_jax.sweep --config sweeps/nih_chest.py --npz FILE

FILE is in MedMNIST's form, with labels [N, 14]; a thousand images will do. Findings that a split never or always shows
have no AUC: they are left out of the mean, and named in the report.

Few images, small batches and short trainings: the point is that everything runs, not what it finds. On a GPU take the
defaults instead, a model at a time:

    python -m lwlrd_jax.sweep --dataset npz --npz FILE --model resnet18 --lrs 0.003,0.01,0.03 --members-per-wave 8

Cost on 2 cores: ResNet-18 about 8 minutes, ViT about 10; a third of it infects by Transpose.

What 1000 NIH radiographs gave (600 for training; findings 7, 10 and 13 have no test image), with AUC around 0.5 to 0.7
after so little training:

    model     defence    Transpose: re-identified  SSIM    DEC: re-identified  bit error rate
    resnet18  untreated   2 of 16                  0.40    16 of 16            0
    resnet18  decay 0.5   2 of 16                  0.41     0 of 16            0.48
    resnet18  decay 0.9   0 of 16                  0.37     0 of 16            0.49
    vit       untreated   8 of 8                   0.74     8 of 8             0
    vit       decay 0.5   5 of 8                   0.34     0 of 8             0.50
    vit       decay 0.9   1 of 8                   0.29     0 of 8             0.50

ResNet-18 has not memorised yet in so few steps. The mean training image has an SSIM of 0.50 for the first set of
stolen images, 0.47 for the second. Running statistics count as 38 kB of capacity untreated, and as none after any
fine-tuning.
"""

from lwlrd_jax.config import Data, Dec, FineTuning, Infection, SweepConfig

_SIZES = {"resnet18": (16, 300, 4), "vit": (8, 150, 2)}

CONFIGS = {
  model: SweepConfig(
    tuning=FineTuning(decays="0.5,0.9", epochs=epochs, batch_size=32, baselines=False),
    data=Data(dataset="npz", model=model, image_size=64),
    infection=Infection(attacks="transpose,dec", stolen=stolen, infect_steps=steps, infect_batch_size=stolen),
    dec=Dec(codec_steps=400),
  )
  for model, (stolen, steps, epochs) in _SIZES.items()
}
