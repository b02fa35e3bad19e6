"""Drawing of the `phantom` set: lesions on skin, as a dermatoscope shows them.

Colour follows Beer and Lambert: what the camera sees is the light times exp(-(melanin) - (blood)), each absorbing red,
green and blue in its own proportions. The classes differ in how much of both a lesion holds, and in its size, outline
and texture; every one of these is drawn from wide distributions that overlap, as they do in patients.
"""

import numpy as np

from lwlrd_jax.data.medmnist.info import MEDMNIST
from lwlrd_jax.data.phantom.fields import draw_grids, pixel_axis, smooth_field, soft_step

# The diagnoses of HAM10000, and their shares in DermaMNIST's training split.
CLASS_NAMES = MEDMNIST["dermamnist"].label_names
CLASS_SHARES = (0.0325, 0.0512, 0.1098, 0.0114, 0.1112, 0.6698, 0.0141)

# Absorption of red, green and blue by melanin and by blood.
_MELANIN = np.array([0.42, 0.93, 1.08], np.float32)
_BLOOD = np.array([0.22, 1.0, 0.72], np.float32)
_WHITE_SKIN = np.array([0.97, 0.86, 0.88], np.float32)
_BLUE_VEIL = np.array([0.36, 0.40, 0.52], np.float32)
_HAIR = np.array([0.20, 0.14, 0.13], np.float32)

# Means per class: akiec, bcc, bkl, df, mel, nv, vasc. Those of strictly positive traits are of their logarithm.
_TRAITS = {
  "melanin": (-1.45, -1.80, -0.75, -0.60, 0.20, -0.10, -1.90),  # log density
  "blood": (-1.00, -1.00, -2.50, -1.70, -2.20, -1.90, 0.55),  # log density
  "radius": (-0.50, -0.82, -0.62, -0.72, -0.50, -0.97, -1.00),  # log, of half an image side
  "border": (-1.95, -2.35, -2.05, -2.60, -1.70, -2.50, -2.60),  # log amplitude of the outline's wobble
  "edge": (1.45, 1.55, 1.95, 1.40, 2.00, 1.90, 2.40),  # log steepness
  "texture": (-0.60, -0.80, -0.65, -1.30, -0.45, -1.00, -1.30),  # log contrast of the pigment's pattern
  "clearing": (0.10, 0.20, 0.05, 1.15, 0.05, 0.00, 0.00),  # paler centre
  "veil": (-0.05, 0.08, -0.05, -0.05, 0.20, -0.10, 0.05),  # blue-white veil, none below zero
  "lopsided": (0.10, 0.05, 0.05, 0.00, 0.45, 0.05, 0.00),  # darker on one side
  "roughness": (-3.20, -3.45, -3.50, -3.95, -3.70, -4.00, -3.95),  # log contrast of the skin, which the sun damages
}
# Standard deviations within a class: as large as the differences between most of them.
_SPREADS = {
  "melanin": 0.42,
  "blood": 0.46,
  "radius": 0.28,
  "border": 0.40,
  "edge": 0.40,
  "texture": 0.40,
  "clearing": 0.16,
  "veil": 0.13,
  "lopsided": 0.30,
  "roughness": 0.60,
}

_FOREST = 5  # hairs on a hairy image
_CHUNK = 256  # images drawn at a time, which bounds the memory


def draw_lesions(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
  """Draws one image a label.

  Args:
    labels: i32[N], indices into `CLASS_NAMES`.
    size: Side in pixels.
    rng: Source of everything random. Equal states give equal images; other sizes show the same lesions.

  Returns:
    u8[N, size, size, 3].
  """
  count = len(labels)
  traits = {
    name: np.asarray(means, np.float32)[labels] + _SPREADS[name] * rng.standard_normal(count, dtype=np.float32)
    for name, means in _TRAITS.items()
  }
  scene = _draw_scene(rng, count)
  grids = {
    "outline_x": draw_grids(rng, count, 3),
    "outline_y": draw_grids(rng, count, 3),
    "fringe": draw_grids(rng, count, 9),
    "pigment": draw_grids(rng, count, 5),
    "grain": draw_grids(rng, count, 15),
    "vessels": draw_grids(rng, count, 6),
    "skin": draw_grids(rng, count, 14),
  }
  images = np.empty((count, size, size, 3), np.uint8)
  for start in range(0, count, _CHUNK):
    part = slice(start, start + _CHUNK)
    images[part] = _render(
      {name: values[part] for name, values in traits.items()},
      {name: values[part] for name, values in scene.items()},
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


def _render(
  traits: dict[str, np.ndarray], scene: dict[str, np.ndarray], fields: dict[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
  """Draws a chunk: traits and scene of N images and their fields f32[N, S, S] -> u8[N, S, S, 3]."""
  size = fields["skin"].shape[-1]
  axis = pixel_axis(size)
  u, v = axis[None, None, :], axis[None, :, None]

  def each(values: np.ndarray) -> np.ndarray:
    return values[:, None, None]

  # The outline: an ellipse in coordinates that are bent at large and frayed at its edge.
  radius, border = each(np.exp(traits["radius"])), each(np.exp(traits["border"]))
  x0, y0 = u - each(scene["centre"][:, 0]), v - each(scene["centre"][:, 1])
  cos, sin = each(np.cos(scene["turn"])), each(np.sin(scene["turn"]))
  x = (cos * x0 + sin * y0) * each(scene["stretch"]) + border * radius * 2 * fields["outline_x"]
  y = (cos * y0 - sin * x0) / each(scene["stretch"]) + border * radius * 2 * fields["outline_y"]
  distance = np.sqrt(x * x + y * y) / radius + border * fields["fringe"]
  # No edge is sharper than a pixel and a half: optics, and no aliasing.
  steepness = np.minimum(each(np.exp(traits["edge"])), radius * size * 1.3)
  inside = soft_step((1 - distance) * steepness)

  pattern = 1 + each(np.exp(traits["texture"])) * (0.7 * fields["pigment"] + 0.5 * fields["grain"])
  lean_x, lean_y = each(np.cos(scene["lean"])), each(np.sin(scene["lean"]))
  pattern += each(traits["lopsided"]) * (lean_x * x0 + lean_y * y0) / radius
  pattern -= each(traits["clearing"]) * np.exp(-4 * distance * distance)
  lesion_melanin = each(np.exp(traits["melanin"])) * inside * np.maximum(pattern, 0.05)
  # Blood reaches a little beyond the pigment: an inflamed rim.
  redness = soft_step((1.25 - distance) * 4) * np.maximum(1 + 0.45 * fields["vessels"], 0)
  lesion_blood = each(np.exp(traits["blood"])) * redness

  skin = each(np.exp(traits["roughness"])) * fields["skin"]
  melanin = each(scene["skin_melanin"]) + lesion_melanin + skin
  blood = each(scene["skin_blood"]) + lesion_blood + skin * 0.5
  squared = u * u + v * v
  light = each(scene["brightness"]) * (1 + each(scene["slope"][:, 0]) * u + each(scene["slope"][:, 1]) * v)
  light *= 1 - each(scene["shade"]) * squared
  rim = soft_step((each(scene["aperture"]) - np.sqrt(squared)) * (size * 0.9))

  hair = _hairs(scene, u, v)
  veil = np.clip(each(traits["veil"]), 0, 0.6) * inside * soft_step(2 * fields["vessels"])
  images = np.empty((*melanin.shape, 3), np.float32)
  for channel in range(3):
    colour = np.exp(-_MELANIN[channel] * melanin - _BLOOD[channel] * blood)
    colour *= _WHITE_SKIN[channel] * each(np.exp(scene["tint"][:, channel]))
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
      scene[name][hairy, hair][:, None, None] for name in ("hair_angle", "hair_offset", "hair_bend", "hair_weight")
    )
    along = np.cos(angle) * u + np.sin(angle) * v
    across = np.cos(angle) * v - np.sin(angle) * u - offset - bend * along * along
    cover[hairy] = np.maximum(cover[hairy], weight * np.exp(-((across / width) ** 2)))
  return cover
