"""Drawing of the `phantom-chest` set: frontal chest radiographs with fourteen findings, several at once.

A radiograph is drawn as what the film of a standing patient shows: the trunk, two lungs darker than it, ribs,
mediastinum, heart and diaphragm in front, then a window of random centre and width. Some findings change the anatomy (a
wide heart, flat diaphragms), others add a shadow. Strength and place of every sign vary, down to nearly invisible.
"""

import numpy as np

from lwlrd_jax.data.fields import draw_grids, pixel_axis, smooth_field, soft_step
from lwlrd_jax.data.medmnist_info import MEDMNIST

# Shares are after ChestMNIST's, the rarest raised so that every split has some.
FINDING_NAMES = MEDMNIST["chestmnist"].label_names
FINDING_SHARES = (0.103, 0.045, 0.119, 0.178, 0.052, 0.056, 0.035, 0.050, 0.045, 0.035, 0.035, 0.030, 0.034, 0.020)

_CHUNK = 256  # images drawn at a time, which bounds the memory


def draw_chests(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
  """Draws one image a row of labels.

  Args:
    labels: u8[N, 14], 1 where a finding of `FINDING_NAMES` is present.
    size: Side in pixels.
    rng: Source of everything random. Equal states give equal images; other sizes show the same patients.

  Returns:
    u8[N, size, size, 1].
  """
  count = len(labels)
  present = dict(zip(FINDING_NAMES, labels.T.astype(bool), strict=True))
  body = _draw_body(rng, present)
  signs = _draw_signs(rng, present)
  grids = {"haze": draw_grids(rng, count, 3), "patches": draw_grids(rng, count, 6), "mesh": draw_grids(rng, count, 14)}
  images = np.empty((count, size, size, 1), np.uint8)
  for start in range(0, count, _CHUNK):
    part = slice(start, start + _CHUNK)
    film = _render(
      {name: values[part] for name, values in body.items()},
      {name: values[part] for name, values in signs.items()},
      {name: smooth_field(values[part], size) for name, values in grids.items()},
    )
    film += 0.006 * rng.standard_normal(film.shape, dtype=np.float32)
    images[part, ..., 0] = np.clip(film, 0, 1) * 255 + 0.5
  return images


def _draw_body(rng: np.random.Generator, present: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Anatomy and exposure: f32[N, 1, 1] each, some shifted by findings."""
  count = len(present["mass"])

  def normal(mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return mean + spread * rng.standard_normal((count, 1, 1), dtype=np.float32)

  def strength(finding: str) -> np.ndarray:
    """How strongly an image shows a finding: 0 where absent, else about 1, log-normal."""
    return present[finding][:, None, None] * np.exp(normal(0.1, 0.4))

  emphysema, edema = strength("emphysema"), strength("edema")
  collapse, left = strength("atelectasis"), np.sign(normal())  # the collapsed lung's diaphragm rises
  dome = normal(0.48, 0.10) + 0.10 * emphysema
  return {
    "shift_x": normal(0, 0.08),
    "shift_y": normal(-0.04, 0.11),
    "zoom": np.exp(normal(-0.12, 0.11)),
    "tilt": normal(0, 0.07),
    "shoulder": normal(-0.92, 0.07),
    "trunk": normal(0.93, 0.10),
    "lung_x": normal(0.40, 0.025) + 0.02 * emphysema,
    "lung_width": normal(0.28, 0.025) + 0.03 * emphysema,
    "lung_height": normal(0.66, 0.05) + 0.05 * emphysema,
    "lung_air": np.maximum(normal(0.46, 0.08) + 0.10 * emphysema, 0.2),
    "dome_right": dome - 0.15 * collapse * (left < 0),
    "dome_left": dome + normal(0.05, 0.03) - 0.15 * collapse * (left > 0),
    "dome_bend": np.maximum(normal(1.5, 0.4) - 0.8 * emphysema, 0.1),
    "heart_width": normal(0.27, 0.030) + 0.11 * strength("cardiomegaly") + 0.02 * edema,
    "heart_x": normal(0.10, 0.04),
    "mediastinum": np.exp(normal(-1.95, 0.15)),
    "ribs": np.maximum(normal(0.045, 0.02), 0),
    "rib_phase": normal(0, 2),
    "rib_pitch": normal(4.3, 0.4),
    "hilum": np.maximum(normal(0.10, 0.04), 0),
    "gas": np.maximum(normal(0.02, 0.16), 0),
    "gas_x": normal(0.42, 0.08),
    "grain": 0.014 * np.exp(normal(0, 0.4)),
    "haze": np.maximum(normal(0.06, 0.04), 0),
    "exposure": normal(0.06, 0.07),
    "contrast": np.exp(normal(0, 0.16)),
    "gamma": np.exp(normal(0, 0.18)),
  }


def _draw_signs(rng: np.random.Generator, present: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Strength, side and place of every finding's shadow: f32[N, 1, 1] each; strength 0 where it is absent."""
  count = len(present["mass"])
  signs = {}
  for finding in FINDING_NAMES:
    strength = 1.15 * np.exp(0.4 * rng.standard_normal((count, 1, 1), dtype=np.float32))
    signs[finding] = present[finding][:, None, None] * strength
    signs[finding + "_side"] = rng.choice(np.array([-1, 1], np.float32), (count, 1, 1))
    signs[finding + "_x"] = rng.uniform(-1, 1, (count, 1, 1)).astype(np.float32)
    signs[finding + "_y"] = rng.uniform(-1, 1, (count, 1, 1)).astype(np.float32)
  return signs


def _render(body: dict[str, np.ndarray], signs: dict[str, np.ndarray], fields: dict[str, np.ndarray]) -> np.ndarray:
  """Draws a chunk: parameters of N patients and their fields f32[N, S, S] -> f32[N, S, S], about [0, 1]."""
  size = fields["haze"].shape[-1]
  axis = pixel_axis(size)
  u0, v0 = axis[None, None, :] - body["shift_x"], axis[None, :, None] - body["shift_y"]
  u = (u0 + body["tilt"] * v0) * body["zoom"]
  v = (v0 - body["tilt"] * u0) * body["zoom"]
  sharp = size * 0.45  # edges about two pixels wide

  # The trunk with its shoulders and neck; it thins towards its sides.
  width = 0.28 + (body["trunk"] - 0.28) * soft_step((v - body["shoulder"] - 0.12 * np.abs(u)) * 16)
  trunk = soft_step((width - np.abs(u)) * sharp * 0.8)
  film = trunk * (
    0.66 + body["grain"] * fields["mesh"] + 0.03 * fields["haze"] + 0.10 * v - 0.12 * (np.abs(u) / width) ** 4
  )

  # Lungs: superellipses, narrower at the apex, cut off by the domes of the diaphragm and by the heart.
  side = np.where(u < 0, -1.0, 1.0).astype(np.float32)
  x = (np.abs(u) - body["lung_x"]) / (body["lung_width"] * (0.80 + 0.30 * soft_step((v + 0.25) * 6)))
  y = (v + 0.02) / body["lung_height"]
  rho = (np.abs(x) ** 2.5 + np.abs(y) ** 2.5) ** 0.4
  level = np.where(u < 0, body["dome_right"], body["dome_left"]) + body["dome_bend"] * (np.abs(u) - body["lung_x"]) ** 2
  above = soft_step((level - v) * sharp)
  chest = soft_step((1 - rho) * sharp * 0.30)
  heart_x = (u - body["heart_x"]) / body["heart_width"]
  heart_y = (v - 0.25 + 0.25 * (u - body["heart_x"])) / (0.30 + 0.3 * (body["heart_width"] - 0.27))
  heart = soft_step((1 - np.sqrt(heart_x**2 + heart_y**2)) * sharp * 0.25)
  lungs = chest * above * (1 - 0.85 * heart)

  air = body["lung_air"] * _lung_air(body, signs, fields, x=x, u=u, v=v, rho=rho, side=side, level=level)
  film -= lungs * air
  ribs = np.sin(2 * np.pi * body["rib_pitch"] * (v + 0.9 * (np.abs(u) - 0.25) ** 2) + body["rib_phase"])
  film += body["ribs"] * ribs * chest
  film += 0.20 * np.exp(-((u / body["mediastinum"]) ** 2)) * trunk - 0.10 * np.exp(-((u / 0.05) ** 2)) * soft_step(
    (-0.35 - v) * 12
  )
  film += 0.10 * heart
  clavicle = v + 0.56 + 0.18 * np.abs(u) - 0.05
  film += 0.07 * np.exp(-((clavicle / 0.05) ** 2)) * trunk * (np.abs(u) > 0.1)
  film += 0.10 * (1 - above) * chest
  gas = ((u - body["gas_x"]) / 0.16) ** 2 + ((v - body["dome_left"] - 0.17) / 0.09) ** 2
  film -= body["gas"] * np.exp(-gas) * trunk
  film += _hernia(signs, u, v)
  film = 0.52 + (film + 0.02 - 0.52) * body["contrast"] + body["exposure"] * trunk
  return np.clip(film, 0, 1) ** body["gamma"]


def _lung_air(
  body: dict[str, np.ndarray],
  signs: dict[str, np.ndarray],
  fields: dict[str, np.ndarray],
  *,
  x: np.ndarray,
  u: np.ndarray,
  v: np.ndarray,
  rho: np.ndarray,
  side: np.ndarray,
  level: np.ndarray,
) -> np.ndarray:
  """How much of a healthy lung's darkness is left: f32[N, S, S], 1 is healthy, 0 is as dense as the trunk.

  Args:
    body: Anatomy.
    signs: Strengths and places.
    fields: Smooth noise.
    x: f32[N, S, S], across a lung from its inner (-1) to its outer edge (1).
    u: f32[N, S, S], across the body, the patient's right lung at negative values.
    v: f32[N, S, S], down the body.
    rho: f32[N, S, S], 0 in the middle of a lung and 1 at its edge.
    side: f32[N, S, S], the sign of `u`.
    level: f32[N, S, S], where the diaphragm is.
  """

  def blob(finding: str, radius: float, *, ragged: float) -> np.ndarray:
    """A round shadow somewhere in one lung, its outline bent by noise."""
    centre_x = signs[finding + "_side"] * (body["lung_x"] + 0.13 * signs[finding + "_x"])
    centre_y = -0.03 + 0.36 * signs[finding + "_y"]
    squared = ((u - centre_x) ** 2 + (v - centre_y) ** 2) / radius**2
    return np.exp(-(squared**1.5) * np.exp(ragged * fields["patches"]))

  def one_side(finding: str) -> np.ndarray:
    return 0.5 * (1 + side * signs[finding + "_side"])

  shadow = body["haze"] * (1.5 + fields["haze"]) + 0.05 * fields["mesh"] * (1.2 - rho)
  shadow += body["hilum"] * 3 * np.exp(-(((np.abs(u) - 0.19) / 0.09) ** 2) - ((v - 0.0) / 0.16) ** 2)
  base = soft_step((v - level + 0.30) * 9)  # the lowest part of a lung
  # Plate-like bands above a raised diaphragm.
  band = v - level + 0.20 + 0.09 * signs["atelectasis_y"] + 0.15 * signs["atelectasis_x"] * x
  shadow += 0.50 * signs["atelectasis"] * one_side("atelectasis") * np.exp(-((band / 0.075) ** 2))
  # Fluid fills a lung from below and climbs at its outer wall.
  fluid = v - level + 0.06 + 0.24 * signs["effusion"] + 0.14 * signs["effusion_y"] + 0.16 * np.maximum(x, 0) ** 2
  shadow += 0.80 * (signs["effusion"] > 0) * one_side("effusion") * soft_step(fluid * 16)
  patches = np.maximum(fields["patches"] + 0.4, 0)
  shadow += (
    0.42
    * signs["infiltration"]
    * patches
    * (0.35 + 0.65 * one_side("infiltration"))
    * np.exp(-(((v - 0.05 - 0.30 * signs["infiltration_y"]) / 0.34) ** 2))
  )
  shadow += 0.80 * signs["mass"] * blob("mass", 0.19, ragged=0.1)
  shadow += 0.85 * signs["nodule"] * blob("nodule", 0.105, ragged=0.0)
  shadow += 0.80 * signs["pneumonia"] * blob("pneumonia", 0.25, ragged=0.5) * (0.5 + patches)
  shadow += (
    0.80
    * signs["consolidation"]
    * blob("consolidation", 0.30, ragged=0.25)
    * soft_step((v - 0.28 * signs["consolidation_y"] + 0.1) * 18)
  )
  # Bat wings: both hila, fading outwards.
  shadow += 0.60 * signs["edema"] * np.exp(-(((x + 0.5) / 0.75) ** 2) - ((v - 0.08) / 0.33) ** 2)
  shadow += signs["fibrosis"] * np.maximum(0.12 + 0.30 * fields["mesh"], 0) * (0.25 + 0.75 * base + 0.4 * (x > 0.3))
  rind = np.exp(-(((rho - 0.95) / 0.16) ** 2)) * soft_step(x * 8 + 1) * one_side("pleural")
  shadow += 1.00 * signs["pleural"] * rind
  shadow -= 0.14 * signs["emphysema"]
  # A collapsed lung leaves a black crescent at apex and wall; the rest is a little denser.
  gap = one_side("pneumothorax") * soft_step((rho - 0.78 + 0.30 * (v + 0.35)) * 12) * soft_step((0.35 - v) * 8)
  shadow += (signs["pneumothorax"] > 0) * (
    0.20 * one_side("pneumothorax") * (1 - gap) - 0.40 * signs["pneumothorax"] * gap
  )
  return np.exp(-1.3 * np.maximum(shadow, -0.3))


def _hernia(signs: dict[str, np.ndarray], u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """The stomach behind the heart: a round shadow in the midline with gas in its upper half. f32[N, S, S]."""
  squared = ((u - 0.06 - 0.08 * signs["hernia_x"]) / 0.20) ** 2 + ((v - 0.36 - 0.05 * signs["hernia_y"]) / 0.17) ** 2
  wall = np.exp(-(squared**2))
  gas = np.exp(
    -(((u - 0.06 - 0.08 * signs["hernia_x"]) / 0.12) ** 2) - ((v - 0.30 - 0.05 * signs["hernia_y"]) / 0.07) ** 2
  )
  return signs["hernia"] * (0.20 * wall - 0.50 * gas)
