"""What is chosen of MIMIC-CXR-JPG when it is read: views, whose labels, what uncertain findings count as."""

import dataclasses
from pathlib import Path

import numpy as np

from lwlrd_jax.data.dataset import UNKNOWN
from lwlrd_jax.errors import UserError, did_you_mean, nearest, not_known

FRONTAL = ("AP", "PA")
# What a finding counts as that the report mentions and leaves open.
UNCERTAIN = {"ignore": UNKNOWN, "zeros": 0, "ones": 1}
LABELERS = ("chexpert", "negbio")

# Codes of a finding in a study, as prepared sets hold them.
CODES = {"1": 1, "0": 0, "-1": -1, "": -2}
NO_LABELS = -3


@dataclasses.dataclass(frozen=True)
class Choices:
  """Settings of `dataset` mimic-cxr that need no new preparation. Raises UserError for other values."""

  folder: Path | None = None  # the user's copy
  views: str = "frontal"  # see `parse_views`
  uncertain: str = "ignore"  # a key of `UNCERTAIN`
  labeler: str = "chexpert"  # one of `LABELERS`

  def __post_init__(self):
    parse_views(self.views)
    for name, allowed in (("uncertain", tuple(UNCERTAIN)), ("labeler", LABELERS)):
      value = getattr(self, name)
      if value not in allowed:
        raise not_known(f"`{name}`", value, allowed)


def parse_views(text: str) -> tuple[str, ...] | None:
  """Reads `views`: `all`, or a comma list of values of the column ViewPosition, `frontal` standing for AP and PA.

  None stands for every image, whatever its view, known or not.

  Raises:
    UserError: An empty entry, or `all` beside others. Which values there are, the data say (`chosen_views`).

  >>> parse_views("frontal"), parse_views("PA, LATERAL"), parse_views("all")
  (('AP', 'PA'), ('PA', 'LATERAL'), None)
  """
  names = [part.strip() for part in text.split(",")]
  if names == ["all"]:
    return None
  if "" in names or "all" in names:
    raise UserError(
      f"`views` '{text}': allowed: all, or a comma list of ViewPosition values such as AP, PA, LATERAL, LL; "
      "frontal is AP and PA"
    )
  found = [view for name in names for view in (FRONTAL if name == "frontal" else (name,))]
  return tuple(dict.fromkeys(found))


def chosen_views(text: str, views: np.ndarray) -> np.ndarray:
  """Which images have a view that is asked for (see `parse_views`): bool[N].

  Their ViewPosition is str[N], "" where it is missing. A view that no image has is a UserError.

  >>> chosen_views("PA", np.array(["PA", "", "LL"])).tolist(), chosen_views("all", np.array(["PA", ""])).tolist()
  ([True, False, False], [True, True])
  """
  wanted = parse_views(text)
  if wanted is None:
    return np.full(len(views), True)
  there = sorted(set(views.tolist()) - {""})
  named = {part.strip() for part in text.split(",")}
  for view in wanted:
    if view in named and view not in there:
      hint = did_you_mean(nearest(view, ["frontal", "all", *there]))
      raise UserError(
        f"`views` {text}: no image has the ViewPosition {view}; {hint}allowed: frontal, all, {', '.join(there)}"
      )
  return np.isin(views, wanted)


def labels_of(codes: np.ndarray, uncertain: str) -> np.ndarray:
  """Codes i8[N, K] -> labels u8[N, K], as `Split` has them; what a report does not mention counts as absent.

  What -1 counts as is a key of `UNCERTAIN`.

  >>> labels_of(np.array([[1, 0, -1, -2]], np.int8), "ignore").tolist()
  [[1, 0, 255, 0]]
  """
  labels = (codes == CODES["1"]).astype(np.uint8)
  labels[codes == CODES["-1"]] = UNCERTAIN[uncertain]
  return labels
