"""What `model` names: a network of ours, or one of a user's file. Needs nothing that takes long to import."""

from pathlib import Path
from typing import NamedTuple

from lwlrd_jax.errors import UserError, not_known

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


def check_model(model: str) -> None:
  """Refuses what is neither a network of ours nor one of a file that is there.

  Raises:
    UserError: One line.
  """
  own = own_model(model)
  if own is not None and not own.file.is_file():
    raise UserError(f"`model` {model}: there is no such file; {ALLOWED}")
  if own is None and model.endswith(".py"):
    raise UserError(f"`model` {model}: names no network of that file; did you mean {model}:NAME? {ALLOWED}")
  if own is None and model not in MODEL_NAMES:
    raise not_known("`model`", model, MODEL_NAMES, others=", or FILE.py:NAME")


def short_name(model: str) -> str:
  """A model's name for tables and folders.

  >>> short_name("mlp"), short_name("nets/mine.py:Net")
  ('mlp', 'Net')
  """
  own = own_model(model)
  return own.name if own else model
