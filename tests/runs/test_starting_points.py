from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.runs.starting_points import _settings_of


def test_models_older_than_augmentation_are_still_found():
  plain = Transpose(stolen=1, steps=1)
  assert "augment" not in _settings_of(plain)
  assert _settings_of(plain)["memory_lr"] == 3e-3


def test_augmented_models_are_others():
  assert _settings_of(Transpose(stolen=1, steps=1, augment="flip"))["augment"] == "flip"
