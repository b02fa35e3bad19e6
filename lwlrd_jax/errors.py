"""The one exception that ends a command line with a sentence instead of a traceback."""

INTERRUPTED = "interrupted; --resume goes on from the last finished wave"


class UserError(Exception):
  """A mistake the user can mend.

  The message is one line that names the flag or file, what was given and what is allowed. Command-line programs print
  it and end with exit code 2.
  """


class TemporaryFailure(Exception):  # noqa: N818  # as sysexits.h has it
  """What may well go right when the same command is started again, such as another process that went away.

  The message is one line; command-line programs print it and end with exit code 75, EX_TEMPFAIL of sysexits.h.
  """


EXIT_MISTAKE, EXIT_TEMPORARY = 2, 75
