"""A data set that needs no download: seeded drawings of skin lesions, as a dermatoscope shows them.

It stands in for DermaMNIST in first steps and tests, and says nothing about patients.

Colour follows Beer and Lambert: what the camera sees is the light times exp(-(melanin) - (blood)), each absorbing red,
green and blue in its own proportions. The classes differ in how much of both a lesion holds, and in its size, outline
and texture; every one of these is drawn from wide distributions that overlap, as they do in patients.

It is not easy. Seed 0 at 28 pixels, an MLP of three hidden layers of 1024 units (Adam 1e-4, batch 128, label smoothing
0.2), macro test AUC after 20 / 40 epochs, mean of two runs: 0.76 / 0.80. The same MLP on 2048 images of DermaMNIST:
0.75 / 0.77. SSIM of the constant mean training image against the images: 0.48 (DermaMNIST 0.46).
"""

from collections.abc import Sequence

import numpy as np

from lwlrd_jax.data.dataset import Dataset, Split
from lwlrd_jax.data.medmnist.info import MEDMNIST
from lwlrd_jax.errors import UserError

TRAIN_SIZE = 2048
VAL_SIZE = 256
TEST_SIZE = 1024
IMAGE_SIZES = (28, 32, 48, 64)

# The diagnoses of HAM10000, and their shares in DermaMNIST's training split.
CLASS_NAMES = MEDMNIST["dermamnist"].label_names
CLASS_SHARES = (0.0325, 0.0512, 0.1098, 0.0114, 0.1112, 0.6698, 0.0141)

# Absorption of red, green and blue by melanin and by blood.
_MELANIN = np.array([0.42, 0.93, 1.08], np.float32)
_BLOOD = np.array([0.22, 1.0, 0.72], np.float32)
_WHITE_SKIN = np.array([0.97, 0.86, 0.88], np.float32)
_BLUE_VEIL = np.array([0.36, 0.40, 0.52], np.float32)
_HAIR = np.array([0.20, 0.14, 0.13], np.float32)

# Traits of a lesion: standard deviation within a class, as large as the differences between most classes; means per
# class, akiec, bcc, bkl, df, mel, nv, vasc. Those of strictly positive traits are of their logarithm.
_TRAITS = {
  "melanin": (0.42, (-1.45, -1.80, -0.75, -0.60, 0.20, -0.10, -1.90)),  # log density
  "blood": (0.46, (-1.00, -1.00, -2.50, -1.70, -2.20, -1.90, 0.55)),  # log density
  "radius": (0.28, (-0.50, -0.82, -0.62, -0.72, -0.50, -0.97, -1.00)),  # log, of half an image side
  "border": (0.40, (-1.95, -2.35, -2.05, -2.60, -1.70, -2.50, -2.60)),  # log amplitude of the outline's wobble
  "edge": (0.40, (1.45, 1.55, 1.95, 1.40, 2.00, 1.90, 2.40)),  # log steepness
  "texture": (0.40, (-0.60, -0.80, -0.65, -1.30, -0.45, -1.00, -1.30)),  # log contrast of the pigment's pattern
  "clearing": (0.16, (0.10, 0.20, 0.05, 1.15, 0.05, 0.00, 0.00)),  # paler centre
  "veil": (0.13, (-0.05, 0.08, -0.05, -0.05, 0.20, -0.10, 0.05)),  # blue-white veil, none below zero
  "lopsided": (0.30, (0.10, 0.05, 0.05, 0.00, 0.45, 0.05, 0.00)),  # darker on one side
  "roughness": (0.60, (-3.20, -3.45, -3.50, -3.95, -3.70, -4.00, -3.95)),  # log contrast of sun-damaged skin
}
# Smooth random fields, and how many cells of each lie along a side: more cells, finer grain.
_FIELDS = {"outline_x": 3, "outline_y": 3, "fringe": 9, "pigment": 5, "grain": 15, "vessels": 6, "skin": 14}

_FOREST = 5  # hairs on a hairy image
_CHUNK = 256  # images drawn at a time, which bounds the memory


def phantom(*, image_size: int = 28, seed: int = 0) -> Dataset:
  """Skin lesions in colour: seven classes with HAM10000's names, as unbalanced as DermaMNIST's.

  `TRAIN_SIZE` / `VAL_SIZE` / `TEST_SIZE` images u8[N, image_size, image_size, 3]; every class is in every split. The
  same seed, at least 0, shows the same lesions at every size; another seed, other patients. Raises UserError for a side
  in pixels that is not in `IMAGE_SIZES`.
  """
  if image_size not in IMAGE_SIZES:
    allowed = ", ".join(map(str, IMAGE_SIZES))
    raise UserError(f"`image_size` {image_size}: the generated set phantom is drawn at {allowed} pixels")

  def draw(count: int, stream: np.random.SeedSequence) -> Split:
    rng = np.random.default_rng(stream)
    labels = draw_classes(CLASS_SHARES, count, rng)
    return Split(draw_lesions(labels, image_size, rng), labels)

  # Each split has its own stream, so that the size of one does not change the next.
  sizes = (TRAIN_SIZE, VAL_SIZE, TEST_SIZE)
  train, val, test = map(draw, sizes, np.random.SeedSequence(seed).spawn(3))
  return Dataset("phantom", train, val, test, CLASS_NAMES, multi_label=False, openly_licensed=True)


def draw_classes(shares: Sequence[float], count: int, rng: np.random.Generator) -> np.ndarray:
  """Labels i32[count] with exactly the wanted shares, each class at least twice, in random order.

  The largest class takes up the rounding.

  >>> np.bincount(draw_classes((0.9, 0.1), 10, np.random.default_rng(0))).tolist()
  [8, 2]
  """
  numbers = np.maximum(np.rint(np.asarray(shares) * count).astype(int), 2)
  numbers[np.argmax(numbers)] += count - numbers.sum()
  return rng.permutation(np.repeat(np.arange(len(shares), dtype=np.int32), numbers))


def draw_lesions(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
  """Draws one image for each label i32[N], an index into `CLASS_NAMES`: u8[N, size, size, 3].

  Equal states of `rng` give equal images; other sizes show the same lesions.
  """
  count = len(labels)
  traits = {
    name: np.asarray(means, np.float32)[labels] + spread * rng.standard_normal(count, dtype=np.float32)
    for name, (spread, means) in _TRAITS.items()
  }
  scene = traits | _draw_scene(rng, count)
  grids = {name: draw_grids(rng, count, cells) for name, cells in _FIELDS.items()}
  images = np.empty((count, size, size, 3), np.uint8)
  for start in range(0, count, _CHUNK):
    part = slice(start, start + _CHUNK)
    images[part] = _render(
      {name: values[part, None, None] for name, values in scene.items()},
      {name: smooth_field(values[part], size) for name, values in grids.items()},
      rng,
    )
  return images


def _draw_scene(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
  """What has nothing to do with the diagnosis: the skin, the light, the camera's aim, hairs. f32[N] or f32[N, ...]."""

  def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal((count, *shape), dtype=np.float32)

  def uniform(low: float, high: float, *shape: int) -> np.ndarray:
    return rng.uniform(low, high, (count, *shape)).astype(np.float32)

  return {
    "centre": 0.09 * normal(2),
    "turn": uniform(0, np.pi),
    "stretch": np.exp(0.22 * normal()),
    "lean": uniform(0, 2 * np.pi),
    "skin_melanin": 0.09 * np.exp(0.6 * normal()),
    "skin_blood": 0.14 * np.exp(0.6 * normal()),
    "tint": 0.035 * normal(3),
    "brightness": 0.95 * np.exp(0.10 * normal()),
    "slope": 0.06 * normal(2),
    "shade": np.abs(0.09 * normal()),  # mild darkening towards the corners
    "aperture": np.where(uniform(0, 1) < 0.12, uniform(0.98, 1.30), 9.0).astype(np.float32),  # the dermatoscope's rim
    "hairy": uniform(0, 1) < 0.12,
    "hair_angle": uniform(0, np.pi)[:, None] + 0.45 * normal(_FOREST),
    "hair_offset": uniform(-1, 1, _FOREST),
    "hair_bend": 0.25 * normal(_FOREST),
    "hair_weight": uniform(0.1, 0.7, _FOREST) * (uniform(0, 1, _FOREST) < 0.6),
  }


def _render(scene: dict[str, np.ndarray], fields: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
  """Draws N images u8[N, S, S, 3]: of traits and scene, [N, 1, 1] or [N, 1, 1, ...], and of fields f32[N, S, S]."""
  size = fields["skin"].shape[-1]
  axis = pixel_axis(size)
  u, v = axis[None, None, :], axis[None, :, None]

  # The outline: an ellipse in coordinates that are bent at large and frayed at its edge.
  radius, border = np.exp(scene["radius"]), np.exp(scene["border"])
  x0, y0 = u - scene["centre"][..., 0], v - scene["centre"][..., 1]
  cos, sin = np.cos(scene["turn"]), np.sin(scene["turn"])
  x = (cos * x0 + sin * y0) * scene["stretch"] + border * radius * 2 * fields["outline_x"]
  y = (cos * y0 - sin * x0) / scene["stretch"] + border * radius * 2 * fields["outline_y"]
  distance = np.sqrt(x * x + y * y) / radius + border * fields["fringe"]
  # No edge is sharper than a pixel and a half: optics, and no aliasing.
  steepness = np.minimum(np.exp(scene["edge"]), radius * size * 1.3)
  inside = soft_step((1 - distance) * steepness)

  pattern = 1 + np.exp(scene["texture"]) * (0.7 * fields["pigment"] + 0.5 * fields["grain"])
  lean_x, lean_y = np.cos(scene["lean"]), np.sin(scene["lean"])
  pattern += scene["lopsided"] * (lean_x * x0 + lean_y * y0) / radius
  pattern -= scene["clearing"] * np.exp(-4 * distance * distance)
  lesion_melanin = np.exp(scene["melanin"]) * inside * np.maximum(pattern, 0.05)
  # Blood reaches a little beyond the pigment: an inflamed rim.
  redness = soft_step((1.25 - distance) * 4) * np.maximum(1 + 0.45 * fields["vessels"], 0)
  lesion_blood = np.exp(scene["blood"]) * redness

  skin = np.exp(scene["roughness"]) * fields["skin"]
  melanin = scene["skin_melanin"] + lesion_melanin + skin
  blood = scene["skin_blood"] + lesion_blood + skin * 0.5
  squared = u * u + v * v
  light = scene["brightness"] * (1 + scene["slope"][..., 0] * u + scene["slope"][..., 1] * v)
  light *= 1 - scene["shade"] * squared
  rim = soft_step((scene["aperture"] - np.sqrt(squared)) * (size * 0.9))

  hair = _hairs(scene, u, v)
  veil = np.clip(scene["veil"], 0, 0.6) * inside * soft_step(2 * fields["vessels"])
  images = np.empty((*melanin.shape, 3), np.float32)
  for channel in range(3):
    colour = np.exp(-_MELANIN[channel] * melanin - _BLOOD[channel] * blood)
    colour *= _WHITE_SKIN[channel] * np.exp(scene["tint"][..., channel])
    colour += veil * (_BLUE_VEIL[channel] - colour)
    colour += hair * (_HAIR[channel] - colour)
    images[..., channel] = colour * light * rim
  images += 0.006 * rng.standard_normal(images.shape, dtype=np.float32)
  return (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)


def _hairs(scene: dict[str, np.ndarray], u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """How much hair covers each pixel: f32[N, S, S] in [0, 1]. Hairs are parabolas, half a pixel wide at 28 pixels."""
  size = u.shape[-1]
  cover = np.zeros((len(scene["hairy"]), size, size), np.float32)
  hairy = np.flatnonzero(scene["hairy"])
  width = max(0.025, 0.8 / size)
  for hair in range(_FOREST):
    angle, offset, bend, weight = (
      scene[f"hair_{name}"][hairy, ..., hair] for name in ("angle", "offset", "bend", "weight")
    )
    along = np.cos(angle) * u + np.sin(angle) * v
    across = np.cos(angle) * v - np.sin(angle) * u - offset - bend * along * along
    cover[hairy] = np.maximum(cover[hairy], weight * np.exp(-((across / width) ** 2)))
  return cover


def pixel_axis(size: int) -> np.ndarray:
  """Centres of `size` pixels, f32[size], where an image reaches from -1 at the left or top to 1.

  >>> pixel_axis(4).tolist()
  [-0.75, -0.25, 0.25, 0.75]
  """
  return ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)


def soft_step(x: np.ndarray) -> np.ndarray:
  """The logistic function: 0 far below zero, 1 far above.

  >>> soft_step(np.array([-1000.0, 0.0, 1000.0])).tolist()
  [0.0, 0.5, 1.0]
  """
  # tanh, unlike 1 / (1 + exp(-x)), has no overflow to warn about.
  return 0.5 * (1 + np.tanh(0.5 * x))


def draw_grids(rng: np.random.Generator, count: int, cells: int) -> np.ndarray:
  """What `smooth_field` interpolates: f32[count, cells + 3, cells + 3] of standard normal values.

  They do not depend on the image size, so a phantom at 64 pixels shows the same patients as one at 28.
  """
  return rng.standard_normal((count, cells + 3, cells + 3), dtype=np.float32)


def smooth_field(grids: np.ndarray, size: int) -> np.ndarray:
  """Smooth random pictures from the grids of `draw_grids`, by cubic B-splines.

  f32[N, size, size] with mean 0 and standard deviation 1 over all draws.
  """
  cells = grids.shape[-1] - 3
  position = (pixel_axis(size) + 1) / 2 * cells
  first = np.minimum(position.astype(int), cells - 1)
  t = position - first
  # The four cubic B-splines that are not zero between two knots.
  weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
  weights /= np.linalg.norm(weights, axis=1, keepdims=True)  # independent values of variance 1 keep their variance
  spread = np.zeros((size, cells + 3), np.float32)
  np.put_along_axis(spread, first[:, None] + np.arange(4), weights.astype(np.float32), axis=1)
  return spread @ grids @ spread.T
