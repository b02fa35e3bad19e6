"""Runs to write claims of, and the file that is written, read back."""

from typing import Any

import pandas as pd
import pytest

from lwlrd_jax.report.load import Run
from paper.claims import write_claims

DECAYS = (0.3, 0.5, 0.7)
ATTACKS = ("transpose", "dec", "dec-dead", "dec-signs")


class Page:
  """Ways to read the Markdown."""

  @staticmethod
  def section(text, title):
    """A section's text, from its heading to the next of the same level."""
    found = [part for part in text.split("\n## ") if part.startswith(title)]
    assert len(found) == 1, title
    return found[0]

  @staticmethod
  def records(run: Run, attack: str) -> list[dict[Any, Any]]:
    return run.table[run.table.attack == attack].to_dict("records")

  @staticmethod
  def facts(text):
    """Of a single run: the second column of the table of runs, by the first."""
    rows = Page.table(text, "run")
    return dict(zip(rows.iloc[:, 0], rows.iloc[:, 1], strict=True))

  @staticmethod
  def table(text, first, number=0):
    """A table as a DataFrame: one of those whose first header is `first`."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith(f"| {first} |")]
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in blocks[number]]
    return pd.DataFrame(lines[2:], columns=lines[0])

  @staticmethod
  def verdicts(text):
    rows = Page.table(text, "claim")
    return dict(zip(rows.claim.str.split().str[0], rows.verdict.str.strip("*"), strict=True))

  @staticmethod
  def summary(text, claim):
    rows = Page.table(text, "claim")
    return rows[rows.claim.str.startswith(claim)].iloc[0]


@pytest.fixture(scope="session")
def page():
  return Page


@pytest.fixture(scope="session")
def rows_of(make):
  """Makes rows of a small run: attacks that LWLRD stops (those in `lwlrd`) at no cost, and two rivals."""

  def rows_of(attacks, *, lwlrd=(), vanilla=0.97, high_lr=(0.7, 0.0), seeds=1, decays=(0.3, 0.6)):
    rows = []
    for seed in range(seeds):
      rows += [make.row("clean", auc=0.9, reid=0.0, ssim=0.15, seed=seed)]
      rows += [make.row("mean_image", reid=0.0005, ssim=0.45, seed=seed)]
      for attack in attacks:
        common = {"seed": seed, "attack": attack}
        rows.append(make.row("untreated", auc=0.88, reid=0.98, ssim=0.97, **common))
        rows.append(make.row("vanilla", lr_max=1e-4, auc=0.88, reid=vanilla, ssim=0.3 + vanilla / 2, **common))
        rows.append(make.row("high_lr", lr_max=0.03, auc=high_lr[0], reid=high_lr[1], ssim=0.4, **common))
        for decay in decays:
          reid = 0.0 if attack in lwlrd else 0.8
          rows.append(make.row("lwlrd", lr_max=0.03, decay=decay, auc=0.88, reid=reid, ssim=0.35 + reid / 2, **common))
    return rows

  return rows_of


@pytest.fixture(scope="session")
def two(make, tmp_path_factory):
  """Two runs, one of them with several attacks and finishing steps, and what is written of them."""
  folder = tmp_path_factory.mktemp("claims")
  first = make.run(folder / "first", make.worth(make.sweep(DECAYS, seeds=2)), outcomes=True, samples=False)
  rows = make.worth(make.carriers(DECAYS, attacks=ATTACKS))
  second = make.run(folder / "second", rows, outcomes=True, samples=False)
  (first / "figures").mkdir()
  (first / "figures" / "frontier.png").write_bytes(b"frontier")
  (first / "figures" / "reconstructions.png").write_bytes(b"somebody")
  file = write_claims([first, second], folder / "results.md")
  return [first, second], file
