"""What `model` names: a network of ours, or one of a user's file. Needs nothing that takes long to import."""

from pathlib import Path
from typing import NamedTuple

from lwlrd_jax.errors import UserError, not_known

MODEL_NAMES = ("mlp", "cnn", "resnet18", "vit", "vit-small")
ALLOWED = f"allowed: {', '.join(MODEL_NAMES)}, or FILE.py:NAME"


class OwnModel(NamedTuple):
  """Something that a user's own file defines, and what it is called there."""

  file: Path
  name: str


def own_model(model: str) -> OwnModel | None:
  """What of a user's file FILE.py:NAME means; None of any other name.

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
  if own is None:
    if model.endswith(".py"):
      raise UserError(f"`model` {model}: names no network of that file; did you mean {model}:NAME? {ALLOWED}")
    if model not in MODEL_NAMES:
      raise not_known("`model`", model, MODEL_NAMES, others=", or FILE.py:NAME")
  elif not own.file.is_file():
    raise UserError(f"`model` {model}: there is no such file; {ALLOWED}")


def short_name(model: str) -> str:
  """A model's name for tables and folders: `Net` of nets/mine.py:Net."""
  own = own_model(model)
  return own.name if own else model
