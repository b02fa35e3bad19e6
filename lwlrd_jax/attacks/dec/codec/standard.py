"""PNG, JPEG and WebP, by Pillow, under the learned codec's host interface."""

import dataclasses
import io
from typing import Any, Literal

import numpy as np
from PIL import Image

from lwlrd_jax.attacks.dec.codec import CodeError

Format = Literal["png", "jpeg", "webp"]


@dataclasses.dataclass(frozen=True)
class StandardCodec:
  """One file format at one quality, set for small files."""

  format: Format  # "png", which is lossless, "jpeg" or "webp"
  # (H, W, C); C is 1 or 3. Grey images have one channel in the file too, where the format has such.
  image_shape: tuple[int, int, int]
  quality: int = 75  # 0 to 100, larger is sharper; of no effect on PNG

  def __post_init__(self):
    if self.image_shape[-1] not in (1, 3):
      raise ValueError(f"images must have 1 or 3 channels, not {self.image_shape[-1]}")
    if not 0 <= self.quality <= 100:
      raise ValueError(f"quality must be in 0 to 100, not {self.quality}")

  def encode(self, images: np.ndarray) -> list[bytes]:
    """Images u8[N, H, W, C] -> one whole file for each."""
    return [self._file(image) for image in images]

  def decode(self, code: bytes) -> np.ndarray:
    """A file -> u8[H, W, C]. Raises CodeError if it is damaged, or, before pixels take memory, of another shape."""
    height, width, channels = self.image_shape
    try:
      with Image.open(io.BytesIO(code), formats=[self.format.upper()]) as image:
        if image.size != (width, height) or image.mode not in ("L", "RGB"):
          raise CodeError(f"the file holds {image.size} pixels of {image.mode}, not {self.image_shape}")
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except CodeError:
      raise
    except Exception as error:  # Pillow's readers raise what they please: OSError, SyntaxError, struct.error, ...
      raise CodeError(f"these bytes are no {self.format} file: {error}") from error
    return pixels.reshape(self.image_shape).copy()

  def _file(self, image: np.ndarray) -> bytes:
    options: dict[str, dict[str, Any]] = {
      "png": {"optimize": True},
      "jpeg": {"quality": self.quality, "optimize": True},
      "webp": {"quality": self.quality, "method": 6},
    }
    file = io.BytesIO()
    pixels = image[..., 0] if self.image_shape[-1] == 1 else image  # Pillow takes a grey image as a matrix
    Image.fromarray(pixels).save(file, self.format, **options[self.format])
    return file.getvalue()
