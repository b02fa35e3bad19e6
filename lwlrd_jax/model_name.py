"""What `--model` names: a network of ours, or one of a user's file. Needs nothing that takes long to import."""

from pathlib import Path
from typing import NamedTuple

MODEL_NAMES = ("mlp", "cnn", "resnet18", "vit", "vit-small")
ALLOWED = f"allowed: {', '.join(MODEL_NAMES)}, or FILE.py:NAME"


class OwnModel(NamedTuple):
  """A network of a user's own.

  Attributes:
    file: Where it is defined.
    name: What it is called there.
  """

  file: Path
  name: str


def own_model(model: str) -> OwnModel | None:
  """What of a user's file a model's name means; None of any other.

  >>> own_model("mlp")
  >>> own_model("nets/mine.py:Net").name
  'Net'
  """
  file, found, name = model.rpartition(".py:")
  return OwnModel(Path(f"{file}.py"), name) if found else None


def short_name(model: str) -> str:
  """A model's name for tables and folders.

  >>> short_name("mlp"), short_name("nets/mine.py:Net")
  ('mlp', 'Net')
  """
  own = own_model(model)
  return own.name if own else model
