"""The name of a member: the one place that makes it."""

from typing import NamedTuple

Steps = tuple[str, ...]  # Finishers, by name; none is no step on the weights
UNTREATED = "untreated"
KEEP = "keep"
# Controls that stand once in a table, measured with the first attack.
SHARED_CONTROLS = ("clean", "mean_image", "originals", "noise_images")


class MemberId(NamedTuple):
  """What distinguishes a member from others; its text is its name in the table and in `checkpoints/`.

  >>> str(MemberId("lwlrd-lr0.1-d0.5", "dec", ("noise",), ("prune", "scrub"), 1))
  'dec-lwlrd-lr0.1-d0.5-after-noise-then-prune+scrub-s1'
  >>> str(MemberId("clean", seed=0)), str(MemberId("retrain-lr0.001", "dec", start="redraw", seed=0))
  ('clean-s0', 'dec-retrain-lr0.001-from-redraw-s0')
  """

  schedule: str  # its label, or the name of a control
  attack: str = ""  # what its model was infected by; empty for controls of all attacks
  prepare: Steps = ()  # before the schedule
  finish: Steps = ()  # after it
  seed: int | None = None  # number of the infection; None where several are meant
  start: str = KEEP  # what the defence began from

  def __str__(self) -> str:
    parts = [self.attack, self.schedule]
    parts += [f"from-{self.start.replace(':', '~')}"] * (self.start != KEEP)
    parts += [f"after-{step_names(self.prepare)}"] * bool(self.prepare)
    parts += [f"then-{step_names(self.finish)}"] * bool(self.finish)
    parts += [] if self.seed is None else [f"s{self.seed}"]
    return "-".join(filter(None, parts))


def step_names(steps: Steps) -> str:
  """As in the results table.

  >>> step_names(("noise", "scrub")), step_names(())
  ('noise+scrub', 'none')
  """
  return "+".join(steps) or "none"
