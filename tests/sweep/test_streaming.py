"""Where images are kept, and how members are mapped, changes no figure; what is done to images does."""

import pandas as pd
import pytest

from lwlrd_jax.sweep import main

# What these are made of is compiled otherwise, and rounds otherwise.
ROUNDED = ["ssim", "ssim_naive", "psnr", "mse", "downstream_auc"]


@pytest.fixture(scope="module")
def table(npz, comparable, tmp_path_factory):
  """Runs a sweep of both attack families from an empty cache, and reads its table."""
  folder = tmp_path_factory.mktemp("streaming")

  def run(name, *flags):
    with pytest.MonkeyPatch.context() as patch:
      patch.setenv("LWLRD_JAX_CACHE", str(folder / f"cache-{name}"))
      given = (
        *("--dataset", "npz", "--npz", str(npz), "--decays", "0.5,0.9", "--no-baselines", "--stolen", "8"),
        *("--attacks", "transpose,dec-signs", "--codec", "webp", "--infect-steps", "60", "--epochs", "2"),
        *("--batch-size", "32", "--finish", "none,scrub", "--out", str(folder / name), *flags),
      )
      assert main(list(given)) == 0
    return comparable(folder / name).set_index("member")

  return run


@pytest.fixture(scope="module")
def resident(table):
  return table("resident", "--stream", "never", "--augment", "flip")


def test_streamed(resident, table):
  streamed = table("streamed", "--stream", "always", "--augment", "flip")
  pd.testing.assert_frame_equal(streamed.drop(columns=ROUNDED), resident.drop(columns=ROUNDED), check_exact=True)
  pd.testing.assert_frame_equal(streamed[ROUNDED], resident[ROUNDED], atol=2e-3, check_dtype=False)


def test_augmented(resident, table):
  """Infected, clean and fine-tuned models are all others."""
  plain = table("plain", "--augment", "none")
  assert plain.index.equals(resident.index)
  trained = plain["surviving_bytes"].notna()
  assert trained.sum() >= 8
  assert (plain.loc[trained, "auc"] != resident.loc[trained, "auc"]).mean() > 0.7


@pytest.mark.slow  # programs that nothing else has
def test_half_of_the_bits(resident, table):
  """What is fine-tuned is another model, close by; what it starts from is the same."""
  halved = table("halved", "--compute", "bfloat16", "--augment", "flip")
  tuned = [name for name in resident.index if "-lwlrd-" in name and "scrub" not in name]
  assert len(tuned) == 4
  assert (halved["auc"][tuned] != resident["auc"][tuned]).any()
  gently = [name for name in tuned if "d0.5" in name]  # what rounding makes of a model large rates make more of
  pd.testing.assert_series_equal(halved["auc"][gently], resident["auc"][gently], atol=0.1, check_exact=False)
  others = [name for name in resident.index if "-lwlrd-" not in name]
  pd.testing.assert_series_equal(halved["auc"][others], resident["auc"][others])


@pytest.mark.slow  # programs that nothing else has
def test_side_by_side(resident, table):
  """What rounding makes of an infection large rates make more of: those of its rows are left out."""
  beside = table("vmap", "--strategy", "vmap", "--augment", "flip")
  assert beside.index.equals(resident.index)
  quiet = [name for name in resident.index if not name.startswith("transpose-lwlrd")]
  pd.testing.assert_series_equal(beside["auc"][quiet], resident["auc"][quiet], atol=0.01, check_exact=False)
