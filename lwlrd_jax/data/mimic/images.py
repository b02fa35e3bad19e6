"""One JPEG of MIMIC-CXR-JPG: where it lies, and how it becomes a small square image."""

from pathlib import Path

import numpy as np
from PIL import Image

from lwlrd_jax.data.mimic.tables import WHERE
from lwlrd_jax.errors import UserError

# A JPEG decoder can average blocks of pixels as it decodes, in half the time. What it leaves is still so many
# times larger than what is asked for; the antialiased resize does the rest.
_REDUCED = 4


def image_file(subject_id: str, study_id: str, dicom_id: str) -> str:
  """Where an image lies in a copy of the data.

  >>> image_file("10000032", "50414267", "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014")
  'files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg'
  """
  return f"files/p{subject_id[:2]}/p{subject_id}/s{study_id}/{dicom_id}.jpg"


def read_image(file: Path, size: int) -> np.ndarray | None:
  """Reads one image whole, and resizes it to a square, antialiased (Pillow's bicubic filter).

  Radiographs are not square (3056 x 2544). They are squeezed, neither cropped nor padded: cropping loses the corners of
  the lungs, and constant borders would make every reconstruction look more like its original than it is.

  Args:
    file: A JPEG.
    size: Side in pixels.

  Returns:
    u8[size, size], or None where there is no such file.

  Raises:
    UserError: It cannot be read, or is cut off: a copy that is damaged should be mended, not used in part.
  """
  try:
    with Image.open(file) as image:
      image.draft("L", (_REDUCED * size, _REDUCED * size))
      return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BICUBIC))
  except FileNotFoundError:
    return None
  # What Pillow raises, by where the damage is.
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
    why = (getattr(error, "strerror", None) or str(error)).splitlines()[0].replace(str(file), file.name)
    raise UserError(
      f"`mimic_dir`: cannot read {file} ({why}); fetch it again ({WHERE}), and the same command goes on from here"
    ) from error
