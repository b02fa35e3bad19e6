from lwlrd_jax.attacks.transpose import Heavy, Transpose
from lwlrd_jax.models.task_training import TaskTraining


def test_models_older_than_augmentation_are_still_found():
  plain = Transpose(stolen=1, steps=1)
  assert "augment" not in plain.settings()
  assert "augment" not in TaskTraining(steps=1).settings()
  assert plain.settings()["memory_lr"] == 3e-3


def test_augmented_models_are_others():
  assert Transpose(stolen=1, steps=1, augment="flip").settings()["augment"] == "flip"


def test_settings_are_what_configurations_and_caches_have_always_had():
  assert list(Heavy(stolen=1, steps=2).settings().items()) == [
    *(("stolen", 1), ("steps", 2), ("batch_size", 128), ("task_lr", 1e-3), ("memory_lr", 1e-2), ("warmup", 0.02)),
    *(("cooldown", 0.25), ("label_smoothing", 0.2), ("name", "transpose-heavy"), ("on_device", True)),
  ]
