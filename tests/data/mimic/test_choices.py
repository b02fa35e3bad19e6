import numpy as np
import pytest

from lwlrd_jax.data.dataset import UNKNOWN
from lwlrd_jax.data.mimic.choices import Choices, chosen_views, labels_of, parse_views
from lwlrd_jax.errors import UserError

VIEWS = np.array(["AP", "PA", "LATERAL", "", "LL", "AP"])


@pytest.mark.parametrize(
  ("text", "views", "chosen"),
  [
    ("frontal", ("AP", "PA"), [1, 1, 0, 0, 0, 1]),
    ("PA", ("PA",), [0, 1, 0, 0, 0, 0]),
    (" LL , frontal", ("LL", "AP", "PA"), [1, 1, 0, 0, 1, 1]),
    ("LATERAL,LL,LL", ("LATERAL", "LL"), [0, 0, 1, 0, 1, 0]),
    ("all", None, [1, 1, 1, 1, 1, 1]),
  ],
)
def test_views(text, views, chosen):
  assert parse_views(text) == views
  assert chosen_views(text, VIEWS).astype(int).tolist() == chosen


@pytest.mark.parametrize("text", ["", ",", "AP,", "all,AP", "AP,,PA"])
def test_bad_views(text):
  with pytest.raises(UserError, match=r"^`views` '.*': allowed: all, or a comma list of ViewPosition values"):
    parse_views(text)


@pytest.mark.parametrize("text", ["ap", "frontal,SIDE"])
def test_views_that_no_image_has(text):
  with pytest.raises(UserError, match=rf"^`views` {text}: no image has .* allowed: frontal, all, AP, LATERAL, LL, PA$"):
    chosen_views(text, VIEWS)


def test_frontal_needs_not_both():
  assert chosen_views("frontal", np.array(["PA", ""])).tolist() == [True, False]


@pytest.mark.parametrize(("uncertain", "counts_as"), [("ignore", UNKNOWN), ("zeros", 0), ("ones", 1)])
def test_labels(uncertain, counts_as):
  labels = labels_of(np.array([[1, 0, -1, -2], [-2, -1, 0, 1]], np.int8), uncertain)
  assert labels.dtype == np.uint8
  assert labels.tolist() == [[1, 0, counts_as, 0], [0, counts_as, 0, 1]]


def test_bad_choices():
  with pytest.raises(UserError, match=r"^`uncertain` maybe: not known; allowed: ignore, zeros, ones$"):
    Choices(uncertain="maybe")
  with pytest.raises(UserError, match=r"^`labeler` human: not known; allowed: chexpert, negbio$"):
    Choices(labeler="human")
  with pytest.raises(UserError, match=r"^`views` ''"):
    Choices(views="")
