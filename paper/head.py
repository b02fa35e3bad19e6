"""What was run: machine, versions, commands and a table of runs."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lwlrd_jax.analysis.verdict import CONTROLS
from lwlrd_jax.report import formats
from lwlrd_jax.report.naming import short_name
from paper.cells import PARTLY, UNSURE
from paper.finding import Section
from paper.fingerprint import fingerprint
from paper.markdown import bold, bullets, capital, plain, table
from paper.source import Source

_RULE = (
  "Intervals are 95 %, by bootstrap over infections and images (one infection: over images only). An attack is "
  "*stopped* (bold) if in every infection re-identification and SSIM are at most the limits of the report's rule, in "
  "the table of runs; where the interval of re-identification reaches above its limit, "
  f"{UNSURE} stands behind the figure. "
  "An attack *works* if it is not stopped without a defence. Two figures are *not distinguishable* if the interval of "
  "their paired difference holds 0, and *lower* or *higher* if not: of few images that does not say that they are "
  "equal, and of many comparisons one in twenty is off by chance. Few infections say what usually happens: an accident "
  "that befalls one in ten may be in none of three, and is then in no interval."
)
_WORDS = (
  "*re-id*: share of stolen images that are re-identified, by the best of several post-processings. *LWLRD 0.5*: "
  "fine-tuned with layer-wise learning-rate decay 0.5; *high-LR*: with one rate for all layers; *reversed decay*: with "
  "the largest rate at the output; *Super-FT*: Super-Fine-Tuning. *+ scrub*: a finishing step on the weights. Attacks "
  "and steps are described in docs/attacks.md and docs/defences.md. A claim *holds* if it does in all cases, *fails* "
  "if in none, and *depends* otherwise; what is not known well enough speaks for nobody."
)
_COMMIT = 12
# What stands before the last part of an absolute path.
_FOLDERS = re.compile(r"(?<![^\s=,])/(?:[^/\s,]+/)*(?=[^/\s,])")


def head(sources: Sequence[Source], sections: Sequence[Section]) -> list[str]:
  """The blocks before the sections."""
  blocks = [
    "# Results",
    "What runs say of the claims of Thellier, Li, Ayache and Delingette, 2025 (arXiv 2509.00027): every statement is "
    "generated from the table below it.",
    *_unfinished(sources),
    _WORDS,
    _RULE,
    table(
      ["claim", "verdict", "holds", "depends or fails"],
      [[section.title, bold(section.verdict), section.holds, section.otherwise] for section in sections],
    ),
    "## Runs",
  ]
  common, differing = [], []
  for name, of in (("machine", _machine), ("versions", _versions)):
    values = [of(source) for source in sources]
    if len(set(values)) == 1:
      common.append(f"{capital(name)}: {values[0]}.")
    else:
      differing.append([name, *values])
  commands = [_command(source) for source in sources]
  if len(set(commands)) == 1:
    lines = commands[:1]
  else:
    lines = [f"{command}  # {source.name}" for source, command in zip(sources, commands, strict=True)]
  blocks.append("\n".join(["```", *lines, "```"]))
  blocks += common
  rows = [[name, *(of(source) for source in sources)] for name, of in _ROWS.items()]
  blocks.append(table(["run", *(plain(source.name) for source in sources)], [*rows, *differing]))
  blocks.append(
    "*hash*: the first 12 digits of a SHA-256 over the results without `seconds`, and over that of the data: the same "
    "command on the same machine and versions gives the same."
  )
  left_out = [line for source in sources for line in _left_out(source)]
  if left_out:
    blocks += [f"Left out, because not ok ({PARTLY} marks means over the other infections):", bullets(left_out)]
  return blocks


def _machine(source: Source) -> str:
  config = source.run.config
  device = config["device"]
  kind = f"{device.get('count', '?')} x {device.get('kind', '?')} ({device.get('platform', '?')})"
  return plain(f"{kind}, matmul precision {config.get('matmul_precision') or 'default'}")


def _versions(source: Source) -> str:
  return plain(", ".join(f"{name} {version}" for name, version in source.run.config["versions"].items()))


def _command(source: Source) -> str:
  """The command in one line; of absolute paths the last part, since the others say where somebody keeps things."""
  return _FOLDERS.sub("…/", " ".join(source.run.config["command"].split()))


def _stolen(source: Source) -> str:
  averaged = source.verdict.averaged
  numbers = {
    attack: formats.whole(averaged.stolen[averaged.attack == attack].iloc[0]) for attack in source.verdict.attacks
  }
  usual = formats.whole(source.run.stolen)
  others = [f"{attack} {number}" for attack, number in numbers.items() if number != usual]
  return usual + (f" ({', '.join(others)})" if others else "")


def _seconds(source: Source) -> str:
  seconds = source.run.config.get("run_seconds")
  return "not finished" if seconds is None else formats.duration(seconds)


def _sizes(source: Source) -> str:
  data = source.run.config["dataset"]
  return f"{formats.whole(data['train'])} / {formats.whole(data['test'])}"


def _commit(source: Source) -> str:
  commit = source.run.config.get("git_commit")
  return "none" if not commit else plain(str(commit))[:_COMMIT]


def _members(source: Source) -> str:
  table, planned = source.run.table, len(source.run.config["members"])
  number = f"{(table.status == 'ok').sum()} of {len(table)}"
  return number + (f" ({planned} planned)" if len(table) < planned else "")


def _unfinished(sources: Sequence[Source]) -> list[str]:
  names = [plain(source.name) for source in sources if source.run.config.get("run_seconds") is None]
  return [bold(f"Not finished: {', '.join(names)}. Figures are of the members that are done.")] * bool(names)


def _data(source: Source) -> str:
  name, file = source.run.config["dataset"]["name"], source.run.config["config"].get("npz")
  return plain(f"{name}: {Path(file).name}" if file else name)


_ROWS: dict[str, Callable[[Source], str]] = {
  "data set": _data,
  "image shape": lambda source: " x ".join(str(side) for side in source.run.config["dataset"].get("image_shape", [])),
  "train / test images": _sizes,
  "model": lambda source: plain(", ".join(dict.fromkeys(source.run.table.model))),
  "attacks": lambda source: ", ".join(source.verdict.attacks) or "none",
  "infections (seeds)": lambda source: str(source.run.table.seed.nunique()),
  "images stolen": _stolen,
  "members ok": _members,
  "stopped means": lambda source: source.rule(),
  "run time": _seconds,
  "hash": lambda source: f"`{fingerprint(source.run)}`",
  "git commit, at the start": _commit,
}


def _left_out(source: Source) -> list[str]:
  """Who is not ok: a line a schedule and status."""
  found: dict[tuple[str, str], list[str]] = {}
  averaged = source.verdict.averaged
  for _, row in averaged[averaged.status != "ok"].iterrows():
    name = row.defense if row.defense in CONTROLS else short_name(row, source.verdict.schedules)
    found.setdefault((name, row.status), []).append(row.attack)
  return [
    f"{plain(source.name)}: {name}, {plain(status)} ({', '.join(attacks)})" for (name, status), attacks in found.items()
  ]
