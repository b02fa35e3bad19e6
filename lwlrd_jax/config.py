"""What a user can ask for: frozen dataclasses, one a group of flags. Nothing here imports JAX: `--help` is quick."""

import dataclasses
import math
from pathlib import Path

from lwlrd_jax.attacks.dec.redundancy import parse_redundancy
from lwlrd_jax.data.mimic.choices import Choices
from lwlrd_jax.defenses.schedules import SHAPES
from lwlrd_jax.errors import UserError
from lwlrd_jax.model_name import ALLOWED as ALLOWED_MODELS
from lwlrd_jax.model_name import MODEL_NAMES, own_model

# What a user types for an attack, and what the results table calls it; both are understood. `dec` is one attack for
# each of --carriers.
ATTACKS = {
  "transpose": "transpose",
  "heavy": "transpose-heavy",
  "flat": "transpose-flat",
  "rehearsed": "transpose-rehearsed",
  "restorer": "transpose-restorer",
  "dec": "dec",
  "late": "dec-late",
  "dead": "dec-dead",
  "redundant": "dec-redundant",
  "spread": "dec-spread",
}
CARRIER_NAMES = ("all", "early", "late", "dead", "values", "signs", "dictionary")
CODEC_NAMES = ("learned", "png", "jpeg", "webp")
CODE_NAMES = ("fixed", "entropy")
SCENARIO_NAMES = ("external", "internal")
DIRECTION_NAMES = ("early", "late")
OVERLAP_NAMES = ("any", "none", "all")
GRANULARITY_NAMES = ("layer", "block")
OPTIMIZER_NAMES = ("adam", "momentum", "sgd")
FINISH_NAMES = ("noise", "prune", "quantize", "scrub", "strip")
PRECISION_NAMES = ("default", "float32", "tensorfloat32", "bfloat16")

_DEFAULT_DECAYS = 9


@dataclasses.dataclass(frozen=True)
class FineTuning:
  """Fine-tuning."""

  decays: str = "0.1:0.9"
  """Learning-rate factors from one layer to the next, counted from the input: LO:HI (9 values, evenly spaced, both ends
  in), LO:HI:N, or a comma list; each in (0, 1]."""
  lrs: str | None = None
  """Largest learning rates (lr_max: of the layer that has the largest, at the first step), comma list; each above 0.
  Default, for Adam: 0.02, of resnet18 0.01, of vit and vit-small 0.005."""
  high_lrs: str | None = None
  """Learning rates of high-LR, the baseline without decay, comma list. Default: those of --lrs."""
  epochs: int | None = None
  """Passes over the training set. Default: 12, or as many as make 256 steps if that is more."""
  batch_size: int = 128
  """Images a step."""
  optimizer: str = "adam"
  """Inner optimizer: adam, momentum (SGD with 0.9) or sgd."""
  shape: str = "cosine"
  """Course of the learning rate over time: constant, linear or cosine (both fall to 0)."""
  floors: str = "0"
  """Shares of lr_max below which no layer's rate falls, comma list; each in [0, 1]. 0 is no floor."""
  directions: str = "early"
  """Which end of the network has the largest rates, comma list: early (the input: LWLRD), late (the output:
  reversed)."""
  granularity: str | None = None
  """What the decay counts: layer (every layer with parameters) or block (layers of one kind together; of resnet18, vit
  and vit-small each residual block). Default: block for these three, layer for others."""
  share: float = 1.0
  """Share of the training split to fine-tune on, in (0, 1]. The number of steps stays that of the whole split."""
  overlap: str = "any"
  """Whether that share holds stolen images: any (as chance has it), none, or all of them first."""
  baselines: bool = True
  """Whether to add what LWLRD has to beat: vanilla, high-LR, reversed and Super-Fine-Tuning. The controls stand
  in every table: untreated, clean, mean image; and for what stolen images are worth originals and noise."""


@dataclasses.dataclass(frozen=True)
class Finishing:
  """Steps on the weights alone."""

  finish: str = "none"
  """Steps after fine-tuning: none, noise, prune, quantize, scrub (random mantissas, dead weights drawn anew, extra
  tensors stripped), strip (extra tensors only), or several joined by +. A comma list measures each of its entries."""
  prepare: str = "none"
  """The same steps before fine-tuning, which then heals the task. A comma list fine-tunes from each of its entries."""
  scrub_loss: float = 0.005
  """AUC that scrubbing mantissas may cost on the validation split; as many planes go as that allows, and
  8 in any case. Neither dead weights drawn anew nor balanced accuracy are counted."""
  noise_scale: float = 0.1
  """Standard deviation of noise, as a share of each layer's own. Who knows the seed can subtract this noise again."""
  prune_share: float = 0.3
  """Share of each kernel's weights that prune sets to 0."""


@dataclasses.dataclass(frozen=True)
class Searching:
  """Search instead of a grid."""

  search: int | None = None
  """Schedules to try in a search for those that trade utility for privacy best, against all attacks together. It
  varies decay and lr_max (within --decays and --lrs; a single rate is the middle of its range), epochs (half, once and
  twice --epochs), shape, floor (of --floors, if that is given), and the finishing step (of --finish; none and scrub if
  that is none)."""
  population: int = 8
  """Schedules tried together before the next are chosen."""
  max_auc_drop: float = 0.01
  """AUC that the recommended schedule may cost under any attack, on the validation split."""


@dataclasses.dataclass(frozen=True)
class Data:
  """Data and model."""

  dataset: str = "phantom"
  """phantom (generated skin lesions), phantom-chest (generated radiographs, multi-label), a 2-D MedMNIST name such as
  dermamnist, mimic-cxr, or npz."""
  npz: Path | None = None
  """A file in MedMNIST's form, for --dataset npz; in a study, for those of its runs that have that data set."""
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
  uncertain: str = "ignore"
  """What a finding of mimic-cxr counts as that its report leaves open: ignore (as unknown, neither in training nor in
  any figure of utility), zeros (absent) or ones (present). What a report does not mention is absent."""
  labeler: str = "chexpert"
  """Whose labels of mimic-cxr: chexpert or negbio."""
  model: str = "mlp"
  """mlp, cnn, resnet18, vit, vit-small; or FILE.py:NAME, a network of your own: NAME(image_shape, num_outputs,
  rngs=...) makes a flax.nnx.Module that turns images f32[N, H, W, C] in [0, 1] into logits f32[N, K]."""

  def mimic(self) -> Choices:
    """What is chosen of mimic-cxr.

    Raises:
      UserError: A value that is not allowed.
    """
    return Choices(self.views, self.uncertain, self.labeler)


@dataclasses.dataclass(frozen=True)
class Infection:
  """Attack."""

  attacks: str = "transpose,dec"
  """Attacks to defend against, comma list: transpose (memorised images, painted by the network run backwards), dec
  (compressed images, hidden in the weights). Thieves who know the defence: heavy, flat, rehearsed, restorer (of
  transpose), late, dead, redundant, spread (of dec; the last two have planes and redundancy of their own). A name of
  the table, such as dec-values, is taken too."""
  stolen: int | None = None
  """Images the thief takes. Default: 256 of the generated sets, else 512, or a quarter of the training set if that is
  fewer."""
  infect_steps: int | None = None
  """Training steps of the infected and of the clean model. Default: 4.2 an image stolen, at least 1000."""
  infect_batch_size: int = 128
  """Images a training step of these models, of either kind."""
  seeds: int = 1
  """Independent infections: each has its own initial weights, stolen images and training."""


@dataclasses.dataclass(frozen=True)
class Dec:
  """Compression attack (dec)."""

  carriers: str = "all"
  """Where codes hide, comma list, an attack of its own each: all, early or late (mantissa bits of those layers), dead
  (of weights the model does not use), values (the weights' own values), signs, dictionary (an extra tensor)."""
  planes: str = "8"
  """Mantissa planes that carry bits: N, the N lowest, or LO:HI, at most 23. (dead always takes all 23.)"""
  codec: str = "learned"
  """Image codec: learned, png, jpeg or webp."""
  code: str = "fixed"
  """How the learned codec's latents become bits: fixed (fixed length, wrong bits blur) or entropy (range coder:
  shorter, a wrong bit ruins the image)."""
  codec_lambda: float | None = None
  """What the learned codec pays for sharpness: larger is sharper and longer. Default: 0.015."""
  codec_steps: int | None = None
  """Training steps of the learned codec. Default: 800, or 4000 for images of more than 32 pixels a side."""
  codec_npz: Path | None = None
  """A file in MedMNIST's form, on whose training images the external codec is trained. Default: the validation split,
  or for the generated sets images drawn anew."""
  quality: int = 50
  """Of JPEG and WebP, 0 to 100."""
  scenario: str = "external"
  """external: the codec was trained on other images, and its decoder stays with the thief. internal: it was trained on
  the training split that images are stolen from, and its decoder has to be hidden too."""
  redundancy: str = "none"
  """How bits are protected: none, repeat-K (K copies, K odd), ra-Q (repeat-accumulate, Q bits for one, 2 to 16) or rs-N
  (Reed-Solomon, N parity bytes in 255)."""
  rate_distortion: bool = False
  """Whether to compare codecs on the test split, the learned one at several lambdas, and draw the curve."""


@dataclasses.dataclass(frozen=True)
class Run:
  """Run."""

  out: Path | None = None
  """Run directory to create. Default: runs/<date>-<dataset>-<model>; of a study runs/<date>-<name of its file>."""
  resume: bool = False
  """Go on with the stopped run in --out; the other flags must be those it was started with."""
  overwrite: bool = False
  """Replace the run in --out."""
  members_per_wave: int | None = None
  """Members trained at once. Default: what memory holds; on a CPU 16 at most."""
  show_stolen: bool = False
  """Put pictures of reconstructions into the report even if the data are not known to be openly licensed."""
  matmul_precision: str = "float32"
  """Precision of matrix products: float32, tensorfloat32, bfloat16 or default (the device's own)."""
  config: Path | None = None
  """A Python file, such as those of sweeps/, whose CONFIG is the starting point, or CONFIGS those of several runs by
  name; flags given beside it win."""


@dataclasses.dataclass(frozen=True)
class SweepConfig:
  """Fine-tunes an infected model under many layer-wise learning-rate schedules, and measures what still leaks.

  The run directory gets report.html, results.parquet, config.json and a checkpoint of every model.
  """

  tuning: FineTuning = FineTuning()
  finishing: Finishing = Finishing()
  searching: Searching = Searching()
  data: Data = Data()
  infection: Infection = Infection()
  dec: Dec = Dec()
  run: Run = Run()

  def flat(self) -> dict[str, object]:
    """Flag name (with underscores) to value, paths as strings."""
    groups = (self.tuning, self.finishing, self.searching, self.data, self.infection, self.dec, self.run)
    values = {field.name: getattr(group, field.name) for group in groups for field in dataclasses.fields(group)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def parse_decays(text: str) -> tuple[float, ...]:
  """Reads `--decays`.

  Args:
    text: LO:HI, LO:HI:N or a comma list.

  Returns:
    Distinct values in the order given, each in (0, 1].

  Raises:
    UserError: Anything else.

  >>> parse_decays("0.1:0.9")
  (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
  >>> parse_decays("0.5:1:3"), parse_decays("0.7, 0.3")
  ((0.5, 0.75, 1.0), (0.7, 0.3))
  """
  allowed = "allowed: LO:HI, LO:HI:N or a comma list, each value in (0, 1]"
  if ":" not in text:
    return _distinct_floats("--decays", text, 1.0, allowed)
  parts = text.split(":")
  try:
    low, high = float(parts[0]), float(parts[1])
    count = int(parts[2]) if len(parts) == 3 else _DEFAULT_DECAYS
  except ValueError:
    raise UserError(f"--decays {text}: not numbers; {allowed}") from None
  if len(parts) > 3:
    raise UserError(f"--decays {text}: too many colons; {allowed}")
  if not (0 < low <= 1 and 0 < high <= 1):
    raise UserError(f"--decays {text}: outside (0, 1]; {allowed}")
  if low >= high:
    raise UserError(f"--decays {text}: LO must be below HI; {allowed}")
  if count < 2:
    raise UserError(f"--decays {text}: a range has 2 values or more; {allowed}")
  step = (high - low) / (count - 1)
  # Rounded, so that 0.1:0.9 has 0.3 in it and not 0.30000000000000004: decays are looked up by value.
  values = tuple(round(low + i * step, 9) for i in range(count))
  if len(set(values)) < count or not values[0] > 0:
    raise UserError(f"--decays {text}: too close together, or to 0, to tell apart; {allowed}")
  return values


def parse_lrs(text: str, flag: str = "--lrs") -> tuple[float, ...]:
  """Reads `--lrs` or `--high-lrs`: a comma list of learning rates above 0.

  >>> parse_lrs("1e-2,0.03")
  (0.01, 0.03)
  """
  return _distinct_floats(flag, text, math.inf, "allowed: a comma list of learning rates above 0")


def parse_names(flag: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
  """Reads a comma list of names.

  >>> parse_names("--attacks", "dec, transpose", ("transpose", "dec"))
  ('dec', 'transpose')
  """
  names = [part.strip() for part in text.split(",")]
  for name in names:
    if name not in allowed:
      raise UserError(f"{flag} {text}: '{name}' is not known; allowed: {', '.join(allowed)}")
  return tuple(dict.fromkeys(names))


def parse_floors(text: str) -> tuple[float, ...]:
  """Reads `--floors`: a comma list of shares in [0, 1].

  >>> parse_floors("0,0.1")
  (0.0, 0.1)
  """
  return _distinct_floats("--floors", text, 1.0, "allowed: a comma list of shares in [0, 1]", zero=True)


def parse_attacks(text: str, carriers: str) -> tuple[str, ...]:
  """Reads `--attacks`: names as the results table has them, `dec` once for each of `--carriers`.

  >>> parse_attacks("transpose,flat,dec,late", "all,late")
  ('transpose', 'transpose-flat', 'dec', 'dec-late')
  """
  of_carriers = tuple("dec" if name == "all" else f"dec-{name}" for name in CARRIER_NAMES)
  chosen = tuple(
    "dec" if name == "all" else f"dec-{name}" for name in parse_names("--carriers", carriers, CARRIER_NAMES)
  )
  found: list[str] = []
  for part in (part.strip() for part in text.split(",")):
    if part == "dec":
      found += chosen
    elif part in ATTACKS:
      found.append(ATTACKS[part])
    elif part in (*ATTACKS.values(), *of_carriers):
      found.append(part)
    else:
      raise UserError(f"--attacks {text}: '{part}' is not known; allowed: {', '.join(ATTACKS)}")
  return tuple(dict.fromkeys(found))


def parse_finish(flag: str, text: str) -> tuple[tuple[str, ...], ...]:
  """Reads `--finish` or `--prepare`: a comma list of steps joined by +; `none` is no step.

  >>> parse_finish("--finish", "none,noise+scrub")
  ((), ('noise', 'scrub'))
  """
  allowed = f"allowed: none, or {', '.join(FINISH_NAMES)}, joined by +, in a comma list"
  found: dict[tuple[str, ...], None] = {}
  for part in text.split(","):
    steps = () if part.strip() == "none" else tuple(step.strip() for step in part.split("+"))
    for step in steps:
      if step not in FINISH_NAMES:
        raise UserError(f"{flag} {text}: '{step}' is not known; {allowed}")
    found[steps] = None
  return tuple(found)


def parse_planes(text: str) -> tuple[int, int]:
  """Reads `--planes`: N or LO:HI. Returns the lowest plane, and one above the highest.

  >>> parse_planes("8"), parse_planes("4:12")
  ((0, 8), (4, 12))
  """
  allowed = "allowed: N or LO:HI, mantissa planes from 0 up to 23"
  parts = text.split(":")
  try:
    numbers = [int(part) for part in parts]
  except ValueError:
    raise UserError(f"--planes {text}: not whole numbers; {allowed}") from None
  low, high = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[-1])
  if len(numbers) > 2 or not 0 <= low < high <= 23:
    raise UserError(f"--planes {text}: out of range; {allowed}")
  return low, high


def validate(config: SweepConfig) -> None:
  """Checks everything that can be checked without the data.

  Raises:
    UserError: The first mistake found.
  """
  tuning, data, infection, run = config.tuning, config.data, config.infection, config.run
  finishing, dec = config.finishing, config.dec
  parse_decays(tuning.decays)
  if tuning.lrs is not None:
    parse_lrs(tuning.lrs)
  if tuning.high_lrs is not None:
    parse_lrs(tuning.high_lrs, flag="--high-lrs")
    if not tuning.baselines:
      raise UserError(f"--high-lrs {tuning.high_lrs}: goes with baselines only, not with --no-baselines")
  parse_finish("--finish", finishing.finish)
  parse_finish("--prepare", finishing.prepare)
  parse_floors(tuning.floors)
  parse_names("--directions", tuning.directions, DIRECTION_NAMES)
  attacks = parse_attacks(infection.attacks, dec.carriers)
  parse_planes(dec.planes)
  parse_redundancy(dec.redundancy)
  for flag, name, allowed in (
    ("--optimizer", tuning.optimizer, OPTIMIZER_NAMES),
    ("--shape", tuning.shape, SHAPES),
    ("--overlap", tuning.overlap, OVERLAP_NAMES),
    ("--granularity", tuning.granularity, (None, *GRANULARITY_NAMES)),
    ("--matmul-precision", run.matmul_precision, PRECISION_NAMES),
    ("--codec", dec.codec, CODEC_NAMES),
    ("--code", dec.code, CODE_NAMES),
    ("--scenario", dec.scenario, SCENARIO_NAMES),
  ):
    if name not in allowed:
      raise UserError(f"{flag} {name}: not known; allowed: {', '.join(filter(None, allowed))}")
  data.mimic()
  if data.dataset != "mimic-cxr":
    for flag, choice, default in (
      ("--views", data.views, Data.views),
      ("--uncertain", data.uncertain, Data.uncertain),
      ("--labeler", data.labeler, Data.labeler),
    ):
      if choice != default:
        raise UserError(f"{flag} {choice}: goes with --dataset mimic-cxr only, not with --dataset {data.dataset}")
  own = own_model(data.model)
  if data.model not in MODEL_NAMES and not (own and own.file.is_file()):
    raise UserError(f"--model {data.model}: {'there is no such file' if own else 'not known'}; {ALLOWED_MODELS}")
  for flag, number in (
    ("--epochs", tuning.epochs),
    ("--batch-size", tuning.batch_size),
    ("--stolen", infection.stolen),
    ("--infect-steps", infection.infect_steps),
    ("--infect-batch-size", infection.infect_batch_size),
    ("--seeds", infection.seeds),
    ("--members-per-wave", run.members_per_wave),
    ("--codec-steps", dec.codec_steps),
    ("--search", config.searching.search),
    ("--population", config.searching.population),
  ):
    if number is not None and number < 1:
      raise UserError(f"{flag} {number}: allowed: whole numbers from 1")
  for flag, value, low, high in (
    ("--scrub-loss", finishing.scrub_loss, 0.0, 1.0),
    ("--noise-scale", finishing.noise_scale, 0.0, math.inf),
    ("--prune-share", finishing.prune_share, 0.0, 1.0),
    ("--share", tuning.share, 0.0, 1.0),
    ("--max-auc-drop", config.searching.max_auc_drop, 0.0, 1.0),
    ("--quality", dec.quality, 0, 100),
    ("--codec-lambda", dec.codec_lambda, 0.0, math.inf),
  ):
    if value is not None and not (low <= value <= high and math.isfinite(value)):
      raise UserError(f"{flag} {value}: allowed: " + (f"{low} to {high}" if high < math.inf else f"{low} and more"))
  if config.searching.search is not None and finishing.prepare != "none":
    raise UserError(f"--prepare {finishing.prepare}: a search has no steps before the schedule; allowed: none")
  if config.searching.search is not None and tuning.shape != "cosine":
    raise UserError(f"--shape {tuning.shape}: a search tries every shape; allowed: none given")
  if config.searching.search is not None and tuning.directions != "early":
    raise UserError(f"--directions {tuning.directions}: a search is for LWLRD; allowed: early")
  if tuning.directions == "late" and parse_floors(tuning.floors) != (0.0,):
    raise UserError(f"--floors {tuning.floors}: only early directions have floors; allowed: --directions with early")
  if tuning.share == 0:
    raise UserError("--share 0.0: allowed: more than 0; there would be nothing to fine-tune on")
  if finishing.prune_share == 1:
    raise UserError("--prune-share 1.0: allowed: less than 1; all weights would go")
  if dec.codec != "learned" and dec.scenario == "internal":
    raise UserError(f"--scenario internal --codec {dec.codec}: there is nothing to train; allowed: --codec learned")
  if "dec-values" in attacks and (dec.codec != "learned" or dec.code != "fixed" or dec.redundancy != "none"):
    raise UserError(
      "--carriers values: sends numbers, not bits; allowed: with --codec learned --code fixed --redundancy none"
    )
  if run.resume and run.overwrite:
    raise UserError("--resume, --overwrite: one or the other, not both")
  if run.resume and run.out is None:
    raise UserError("--resume: needs --out DIR, the stopped run")


def _distinct_floats(flag: str, text: str, largest: float, allowed: str, *, zero: bool = False) -> tuple[float, ...]:
  """A comma list of distinct numbers in (0, largest], or [0, largest], finite."""
  try:
    values = tuple(float(part) for part in text.split(","))
  except ValueError:
    raise UserError(f"{flag} '{text}': not numbers; {allowed}") from None
  if not all((value > 0 or (zero and value == 0)) and value <= largest and math.isfinite(value) for value in values):
    raise UserError(f"{flag} {text}: out of range; {allowed}")
  return tuple(dict.fromkeys(values))
