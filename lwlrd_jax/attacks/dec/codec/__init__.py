"""Image codecs: a learned one, and PNG, JPEG and WebP."""


class CodeError(ValueError):
  """These bytes are no image of the shape asked for: damaged, cut short, or of another kind."""
