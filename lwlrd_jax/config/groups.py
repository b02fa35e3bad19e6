"""The flags: frozen dataclasses, one a group. Their docstrings are what `--help` says.

What a shell's word or a configuration file's list is given as becomes a field's value when the dataclass is made.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from lwlrd_jax.config.kinds import (
  Count,
  Decays,
  Directions,
  Finishes,
  Flags,
  Floors,
  Lengths,
  MaxBytes,
  PlaneRange,
  Positive,
  Protection,
  Range,
  Rates,
  Share,
  Starts,
  Strategy,
  Trackers,
  Words,
  described,
)
from lwlrd_jax.config.reading import read_decays
from lwlrd_jax.config.values import KEEP, Listed, Planes, Redundancy
from lwlrd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class FineTuning(Flags):
  """Fine-tuning."""

  decays: Decays = read_decays("--decays", "0.1:0.9")
  """Learning-rate factors from one layer to the next, counted from the input: LO:HI (9 values, evenly spaced, both ends
  in), LO:HI:N, or a comma list; each in (0, 1]."""
  lrs: Rates | None = None
  """Largest learning rates (lr_max: of the layer that has the largest, at the first step), comma list; each above 0.
  Default, for Adam: 0.02, of resnet18 0.01, of vit and vit-small 0.005."""
  high_lrs: Rates | None = None
  """Learning rates of high-LR, the baseline without decay, comma list. Default: those of --lrs."""
  epochs: Count | None = None
  """Passes over the training set. Default: 12, or as many as make 256 steps if that is more."""
  batch_size: Count = 128
  """Images a step."""
  optimizer: Literal["adam", "momentum", "sgd"] = "adam"
  """Inner optimizer: adam, momentum (SGD with 0.9) or sgd."""
  compute: Literal["float32", "bfloat16"] = "float32"
  """What fine-tuning's passes are computed in, forwards and backwards: float32 or bfloat16. Weights, the optimizer, and
  all that is measured are float32 in any case."""
  shape: Literal["constant", "linear", "cosine"] = "cosine"
  """Course of the learning rate over time: constant, linear or cosine (both fall to 0)."""
  floors: Floors = Listed((0.0,), "0")
  """Shares of lr_max below which no layer's rate falls, comma list; each in [0, 1]. 0 is no floor."""
  directions: Directions = Listed(("early",))
  """Which end of the network has the largest rates, comma list: early (the input: LWLRD), late (the output:
  reversed); or none, neither."""
  granularity: Literal["layer", "block"] | None = None
  """What the decay counts: layer (every layer with parameters) or block (layers of one kind together; of resnet18, vit
  and vit-small each residual block). Default: block for these three, layer for others."""
  share: Share = 1.0
  """Share of the training split to fine-tune on, in (0, 1]. The number of steps stays that of the whole split."""
  overlap: Literal["any", "none", "all"] = "any"
  """Whether that share holds stolen images: any (as chance has it), none, or all of them first."""
  baselines: bool = True
  """Whether to add what LWLRD has to beat: vanilla, high-LR, reversed, Super-Fine-Tuning and retrain. The controls
  stand in every table: untreated, clean, mean image; and for what stolen images are worth originals and noise."""


@dataclasses.dataclass(frozen=True)
class Starting(Flags):
  """What the defence begins from."""

  start: Starts = Listed((KEEP,))
  """What LWLRD and retrain begin from, comma list: keep (the exported weights), redraw (the owner's own draw), shrink-L
  (L in (0, 1): each array scaled to L times the size of the owner's draw, under noise of that size; shrink-L:L, from
  the first to the last depth), distil (a redrawn student that learns labels and the model's answers)."""
  start_from: Path | None = None
  """A checkpoint that is public, in place of the owner's draw of redraw and distil: a folder in checkpoints/ of a run.
  Layers that it lacks, or has in another shape, are drawn."""
  retrain: Lengths | None = None
  """Lengths of retrain, which trains on the task again at the task's rate, as shares of the original training, comma
  list, or none. It begins from each of --start but keep; if that is none, from redraw and shrink-0.1. Default: 0.35, or
  none with --no-baselines."""
  answers: Literal["top1", "probabilities"] = "top1"
  """What distil's student learns of each answer: top1 (the class, or whether a finding is present), or probabilities
  rounded to --answer-levels."""
  answer_levels: Annotated[int, Range(2, 256)] = 8
  """Levels that probabilities are rounded to."""


@dataclasses.dataclass(frozen=True)
class Finishing(Flags):
  """Steps on the weights alone."""

  finish: Finishes = Listed(((), ("scrub",)), "none,scrub")
  """Steps after fine-tuning: none, noise, prune, quantize, scrub (random mantissas, dead weights re-initialised,
  extra tensors stripped), strip (extra tensors only), or several joined by +. A comma list measures each entry."""
  prepare: Finishes = Listed(((),), "none")
  """The same steps before fine-tuning, which then heals the task. A comma list fine-tunes from each of its entries."""
  scrub_loss: Share = 0.005
  """AUC that scrubbing may cost on the validation split, all that it does counted, and of balanced accuracy four times
  as much, or a single image; as many mantissa planes go as that allows. What is kept for it is reported."""
  noise_scale: Positive = 0.1
  """Standard deviation of noise, as a share of each layer's own. Who knows the seed can subtract this noise again."""
  prune_share: Share = 0.3
  """Share of each kernel's weights that prune sets to 0."""


@dataclasses.dataclass(frozen=True)
class Searching(Flags):
  """What is recommended, and a search for it instead of a grid."""

  search: Count | None = None
  """Schedules to try in a search for those that trade utility for privacy best, against all attacks together. It
  varies decay and lr_max (within --decays and --lrs; a single rate is the middle of its range), epochs (half, once and
  twice --epochs), shape, floor (of --floors, if that is given), and the finishing step (of --finish; none and scrub if
  that is none)."""
  population: Count = 8
  """Schedules tried together before the next are chosen."""
  max_auc_drop: Share = 0.01
  """AUC that what is recommended may cost under any attack, against the untreated model on the validation split."""
  max_bacc_drop: Share = 0.02
  """Balanced accuracy that it may cost, likewise."""
  max_bytes: MaxBytes | None = None
  """Recommend only what is certified to carry at most so many bytes, such as 1kB, whatever the attack. Of distil it
  also limits how many of the model's answers are used."""


@dataclasses.dataclass(frozen=True)
class Data(Flags):
  """Data and model."""

  dataset: str = "phantom"
  """phantom (generated skin lesions), a 2-D MedMNIST name such as dermamnist, mimic-cxr, or npz."""
  npz: Path | None = None
  """A file in MedMNIST's form, for --dataset npz; in a study, for those of its runs that have that data set."""
  labels: Literal["auto", "classes", "findings"] = "auto"
  """What an npz file's labels of 0 and 1 in several columns are: classes (every row has one 1), findings (of which an
  image may have several), or auto: classes if every row of every split has exactly one 1."""
  data_dir: Path | None = None
  """Where official MedMNIST files are kept, and where MIMIC-CXR-JPG is kept once prepared. Default: a folder in the
  user's cache."""
  image_size: int | None = None
  """Side in pixels: 28, 64, 128 or 224 for MedMNIST, 11 to 1024 for mimic-cxr. Default: 28, or that of the npz file."""
  mimic_dir: Path | None = None
  """Your own copy of MIMIC-CXR-JPG, for --dataset mimic-cxr: the folder with files/ and the CSVs, each as .csv or
  .csv.gz. It is only read. Credentialed users get it from physionet.org/content/mimic-cxr-jpg."""
  views: str = "frontal"
  """Views of mimic-cxr to take: a comma list of ViewPosition values such as AP, PA, LATERAL or LL; frontal (AP and PA);
  or all, those without a value too."""
  uncertain: Literal["ignore", "zeros", "ones"] = "ignore"
  """What a finding of mimic-cxr counts as that its report leaves open: ignore (as unknown, neither in training nor in
  any figure of utility), zeros (absent) or ones (present). What a report does not mention is absent."""
  labeler: Literal["chexpert", "negbio"] = "chexpert"
  """Whose labels of mimic-cxr: chexpert or negbio."""
  augment: Literal["none", "shift", "flip", "dihedral"] = "none"
  """What is done to images of the task, in training and fine-tuning, each time they are read: none; shift (by up to an
  eighth of the side, any way); flip (shift, and half of them left to right); dihedral (shift, and any of the eight
  orientations of a square, for images without an up). Memorised images stay as they are. (Codes in values and signs,
  and spread, are trained in without.)"""
  model: str = "mlp"
  """mlp, cnn, resnet18, vit, vit-small; or FILE.py:NAME, a network of your own: NAME(image_shape, num_outputs,
  rngs=...) makes a flax.nnx.Module that turns images f32[N, H, W, C] in [0, 1] into logits f32[N, K]."""


@dataclasses.dataclass(frozen=True)
class Infection(Flags):
  """Attack."""

  attacks: Words = Listed(("transpose", "dec"))
  """Attacks to defend against, comma list: transpose (memorised images, reconstructed by the network run backwards),
  dec (compressed images, hidden in the weights). Attackers who know the defence: heavy, flat, rehearsed, restorer (of
  transpose), late, dead, redundant, spread (of dec; the last two have planes and redundancy of their own). A name of
  the table, such as dec-values, is taken too."""
  attack_file: str | None = None
  """An attack of your own, beside those of --attacks: FILE.py:NAME, where NAME is a
  lwlrd_jax.attacks.registry.AttackInfo (examples/add_an_attack.py)."""
  stolen: Count | None = None
  """Images the attacker takes. Default: 256 of the generated sets, else 512, or a quarter of the training set if that
  is fewer."""
  infect_steps: Count | None = None
  """Training steps of the infected and of the clean model. Default: 4.2 an image stolen, at least 1000."""
  infect_batch_size: Count = 128
  """Images a training step of these models, on the task or on memories. (Codes in values and signs, and spread, are
  trained in by batches of 128.)"""
  seeds: Count = 1
  """Independent infections: each has its own initial weights, stolen images and training."""


@dataclasses.dataclass(frozen=True)
class Dec(Flags):
  """Compression attack (dec)."""

  carriers: Words = Listed(("all",))
  """Where codes hide, comma list, an attack of its own each: all, early or late (mantissa bits of those layers), dead
  (of weights the model does not use), values (the weights' own values), signs, dictionary (an extra tensor)."""
  planes: PlaneRange = Planes(0, 8)
  """Mantissa planes that carry bits: N, the N lowest, or LO:HI, at most 23. (dead always takes all 23.)"""
  codec: Literal["learned", "png", "jpeg", "webp"] = "learned"
  """Image codec: learned, png, jpeg or webp."""
  code: Literal["fixed", "entropy"] = "fixed"
  """How the learned codec's latents become bits: fixed (fixed length, wrong bits blur) or entropy (range coder:
  shorter, a wrong bit ruins the image)."""
  codec_lambda: Positive | None = None
  """What the learned codec pays for sharpness: larger is sharper and longer. Default: 0.015."""
  codec_steps: Count | None = None
  """Training steps of the learned codec. Default: 800, or 4000 for images of more than 32 pixels a side."""
  codec_npz: Path | None = None
  """A file in MedMNIST's form, on whose training images the external codec is trained. Default: the validation split,
  or for the generated sets newly generated images."""
  quality: Annotated[int, Range(0, 100)] = 50
  """Of JPEG and WebP, 0 to 100."""
  scenario: Literal["external", "internal"] = "external"
  """external: the codec was trained on other images, and its decoder stays with the attacker. internal: it was trained
  on the training split that images are stolen from, and its decoder has to be hidden too."""
  redundancy: Protection = Redundancy()
  """How bits are protected: none, repeat-K (K copies, K odd) or ra-Q (a repeat accumulate code, Q bits
  for one, 2 to 16)."""
  rate_distortion: bool = False
  """Whether to compare codecs on the test split, the learned one at several lambdas, and draw the curve."""


@dataclasses.dataclass(frozen=True)
class Run(Flags):
  """Run."""

  out: str | None = None
  """Run directory to create, or an empty folder, on disk or in a bucket (gs://BUCKET/FOLDER; needs the package gcsfs).
  Default: runs/<date>-<dataset>-<model>; of a study runs/<date>-<name of its file>."""
  resume: bool = False
  """Resume the stopped run in --out; the other flags must be those it was started with."""
  restartable: bool = False
  """Resume the run in --out if there is one, else begin it: for schedulers that start the same command again."""
  overwrite: bool = False
  """Replace the run in --out; the old one is deleted when the new one is finished."""
  members_per_wave: Count | None = None
  """Members trained at once by a process. Default: as many as half of the free memory holds, with what each keeps of a
  batch, on a CPU 16 at most. Halved as often as it has to be where the compiled program needs more than there is."""
  snapshot_minutes: Positive = 10.0
  """Minutes between two snapshots of members that are being fine-tuned: what a kill can cost at most. They are taken
  too when the run is asked to stop, by Ctrl-C or SIGTERM."""
  dry_run: bool = False
  """Print what would be done, and what memory it takes, or what a run would be refused for, and end."""
  strategy: Strategy = "auto"
  """How a device trains its members, and infections of several seeds: loop (one after another), vmap (side by side), a
  number (so many at a time), or auto (loop on a CPU, whose cache holds one of them, unless the network is very small;
  vmap elsewhere). Figures differ by rounding alone, of which large learning rates make more."""
  stream: Literal["auto", "always", "never"] = "auto"
  """Where training images are kept: always (in the host's memory, read ahead through Grain), never (on the device), or
  auto (on the device, unless they fill more than half of its free memory). Figures are the same but for
  rounding."""
  show_stolen: bool = False
  """Put pictures of reconstructions into the report even if the data are not known to be openly licensed."""
  matmul_precision: Literal["default", "float32", "tensorfloat32", "bfloat16"] = "float32"
  """Precision of matrix products: float32, tensorfloat32, bfloat16 or default (the device's own)."""
  config: Path | None = None
  """A Python file, such as those of sweeps/, whose CONFIG is the starting point, or CONFIGS those of several runs by
  name; flags given beside it win."""


@dataclasses.dataclass(frozen=True)
class Processes(Flags):
  """Several processes."""

  distributed: bool = False
  """Share the members with the other processes of this job, found out from the cluster: a Cloud TPU pod, GKE, Slurm
  or Open MPI. The same command is started in each; --out has to be a folder or bucket that all of them see."""
  coordinator: str | None = None
  """The same where there is no cluster to ask: HOST:PORT of process 0, beside --processes and --process-id."""
  processes: Count | None = None
  """How many processes there are, with --coordinator."""
  process_id: int | None = None
  """Number of this one, from 0, with --coordinator."""
  join_timeout: Annotated[float, Range(1.0)] = 300.0
  """Seconds to wait for the others before this process ends with exit code 75."""


@dataclasses.dataclass(frozen=True)
class Watching(Flags):
  """Watching a run, beside its log.jsonl."""

  track: Trackers = Listed((), "none")
  """Where members are recorded too, a trial each, with settings and figures but no images: none, or a comma list of
  tensorboard (into the run directory, with HParams), wandb (sent to its server unless WANDB_MODE=offline) and mlflow
  (into the run directory, or to MLFLOW_TRACKING_URI). Each needs the extra of its name."""
  profile: bool = False
  """Trace the first wave, fine-tuning and measuring, with JAX's profiler into profile/ of the run directory; of a long
  one the first 300 s."""


@dataclasses.dataclass(frozen=True)
class SweepConfig:
  """Fine-tunes an infected model under many layer-wise learning-rate schedules, and measures what still leaks.

  The run directory gets report.html, results.parquet, config.json and a checkpoint of every model.
  """

  tuning: FineTuning = FineTuning()
  starting: Starting = Starting()
  finishing: Finishing = Finishing()
  searching: Searching = Searching()
  data: Data = Data()
  infection: Infection = Infection()
  dec: Dec = Dec()
  run: Run = Run()
  processes: Processes = Processes()
  watching: Watching = Watching()

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not isinstance(value, type(field.default)):
        raise UserError(f"{field.name} is {described(value)}; allowed: a {type(field.default).__name__}")

  def values(self) -> dict[str, Any]:
    """Flag name (with underscores) to value."""
    groups = vars(self).values()
    return {field.name: getattr(group, field.name) for group in groups for field in dataclasses.fields(group)}

  def flat(self) -> dict[str, object]:
    """As `values`, as config.json has them: numbers, bools, None or text."""
    return {name: str(value) if isinstance(value, tuple | Path) else value for name, value in self.values().items()}

  def replaced(self, values: dict[str, Any]) -> Self:
    """With some flags replaced, by their names (with underscores); others than flags are ignored."""
    changes = {}
    for field in dataclasses.fields(self):
      group = getattr(self, field.name)
      changes[field.name] = dataclasses.replace(group, **{name: values[name] for name in vars(group) if name in values})
    return dataclasses.replace(self, **changes)
