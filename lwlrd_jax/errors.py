"""The one exception that ends a command line with a sentence instead of a traceback, and how it names what is near."""

import difflib
import re
from collections.abc import Iterable

INTERRUPTED = "interrupted; `resume` continues from the last finished wave"


class UserError(Exception):
  """A mistake the user can mend.

  The message is one line that names the setting or file, what was given and what is allowed. Names of settings stand
  between backticks, as fields have them: `batch_size`. Command-line programs print it with their flags (`with_flags`),
  and end with exit code 2.
  """


class TemporaryFailure(Exception):  # noqa: N818  # as sysexits.h has it
  """What may well go right when the same command is started again, such as another process that went away.

  The message is one line; command-line programs print it and end with exit code 75, EX_TEMPFAIL of sysexits.h.
  """


EXIT_MISTAKE, EXIT_TEMPORARY = 2, 75
_LONGEST = 60  # characters of what was given that a message repeats


def with_flags(message: str) -> str:
  """A message as a command line prints it: with flags for settings between backticks.

  >>> with_flags("`batch_size` 0: not allowed beside `out`")
  '--batch-size 0: not allowed beside --out'
  """
  return re.sub(r"`([a-z]\w*)`", lambda name: f"--{name[1].replace('_', '-')}", message)


def nearest(name: str, names: Iterable[str]) -> str | None:
  """The one of several names that was probably meant; None if nothing is near.

  >>> nearest("ResNet18", ["mlp", "resnet18"]), nearest("epoch", ["epochs", "seeds"]), nearest("fog", ["mlp"])
  ('resnet18', 'epochs', None)
  """
  names, key = list(names), name.strip().lower().replace("_", "-")
  # A beginning is the surer sign: of `data` difflib would make any other word of its letters.
  begun = [one for one in names if min(len(one), len(key)) > 2 and (one.startswith(key) or key.startswith(one))]
  near = sorted(begun, key=lambda one: abs(len(one) - len(key))) or difflib.get_close_matches(key, names, n=1)
  return near[0] if near else None


def did_you_mean(name: str | None) -> str:
  """The part of a message that offers a name, such as "did you mean adam? "; empty without one."""
  return f"did you mean {name}? " if name else ""


def shown(text: str) -> str:
  """What was given, as a message repeats it: quoted if it is empty, its beginning if it is long.

  >>> shown("0.5"), shown(" "), len(shown("0.5," * 10**6))
  ('0.5', "' '", 63)
  """
  return repr(text) if not text.strip() else text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def not_known(flag: str, text: str, allowed: Iterable[str], *, name: str | None = None, others: str = "") -> UserError:
  """The mistake of a name that is none of an enumeration, or of a list in which the entry `name` is none.

  `flag` may be a setting between backticks; `others` says what is allowed besides.

  >>> print(not_known("--optimizer", "adamw", ["adam", "sgd"]))
  --optimizer adamw: not known; did you mean adam? allowed: adam, sgd
  >>> print(not_known("--attacks", "all", ["transpose", "dec"], name="all"))
  --attacks all: 'all' is not known; all of them are transpose,dec; allowed: transpose, dec
  """
  allowed = tuple(allowed)
  wrong = "" if name is None else f"'{shown(name)}' is "
  hint = did_you_mean(nearest(text if name is None else name, allowed))
  if name is not None and name.lower() == "all":
    hint = f"all of them are {','.join(allowed)}; "
  return UserError(f"{flag} {shown(text)}: {wrong}not known; {hint}allowed: {', '.join(allowed)}{others}")
