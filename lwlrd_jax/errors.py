"""The one exception that ends a command line with a sentence instead of a traceback."""

INTERRUPTED = "interrupted; --resume goes on from the last finished wave"


class UserError(Exception):
  """A mistake the user can mend.

  The message is one line that names the flag or file, what was given and what is allowed. Command-line programs print
  it and end with exit code 2.
  """
