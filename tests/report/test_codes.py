import pytest

from lwlrd_jax.analysis.verdict import judge
from lwlrd_jax.report.grids import codes

DECAYS = (0.3, 0.5, 0.7)
MANY = tuple(i / 10 for i in range(1, 10))


def found(make, rows):
  table = codes(judge(make.table(rows), chance=1 / 2048, stolen=256))
  assert table is not None
  return table


def cells(table):
  return {name: dict(zip(table.attacks, row, strict=True)) for name, _, row in table.rows}


def test_what_leaks_and_what_scrub_closes(make):
  table = found(make, make.carriers(DECAYS))
  assert table.rows[0][0] == "untreated"
  by_name = cells(table)
  assert {cell.verdict for cell in by_name["untreated"].values()} == {"leaks"}
  alone, scrubbed = by_name["LWLRD 0.5"], by_name["LWLRD 0.5 + scrub"]
  assert [alone[attack].verdict for attack in ("transpose", "dec", "dec-dead")] == ["stopped", "leaks", "leaks"]
  assert {cell.verdict for cell in scrubbed.values()} == {"stopped"}
  assert scrubbed["dec"].figures == "BER 0.500, re-id 0.050\u00a0%"
  assert scrubbed["transpose"].figures == "re-id 0\u00a0%"  # no code, no bit errors
  assert [name for name, best, _ in table.rows if best] == ["LWLRD 0.5 + scrub"]


def test_signs_are_shown_open(make):
  table = found(make, make.carriers(DECAYS, attacks=("transpose", "dec", "dec-signs")))
  assert cells(table)["LWLRD 0.5 + scrub"]["dec-signs"].verdict == "leaks"


def test_many_decays_are_thinned_with_ends_and_winner_kept(make):
  table = found(make, make.carriers(MANY))
  names = [name for name, _, _ in table.rows]
  assert {f"LWLRD {decay}{step}" for decay in (0.1, 0.5, 0.9) for step in ("", " + scrub")} <= set(names)
  assert sum(name.startswith("LWLRD") for name in names) == 8
  assert table.omitted == 10
  assert names.index("vanilla") < names.index("high-LR") < names.index("reversed decay") < names.index("LWLRD 0.1")


def test_a_scrub_that_opens_something_is_shown(make):
  rows = [
    {**row, "reid": 0.5} if row["attack"] == "transpose" and row["finish"] == "scrub" else row
    for row in make.carriers((0.5,))
  ]
  by_name = cells(found(make, rows))
  assert [by_name[name]["transpose"].verdict for name in ("LWLRD 0.5", "LWLRD 0.5 + scrub")] == ["stopped", "leaks"]


def test_an_attack_that_never_worked_is_not_stopped(make):
  rows = [
    {**row, "reid": 0.0, "ssim": 0.1} if (row["attack"], row["defense"]) == ("dec", "untreated") else row
    for row in make.carriers(DECAYS)
  ]
  table = found(make, rows)
  by_name = cells(table)
  assert by_name["untreated"]["dec"].verdict == "never worked"
  assert (by_name["LWLRD 0.5 + scrub"]["dec"].verdict, by_name["LWLRD 0.5"]["dec"].verdict) == ("never worked", "leaks")


def test_likeness_alone_is_told(make):
  rows = [*make.controls(), make.row("lwlrd", decay=0.5, lr_max=0.03, auc=0.8, reid=0.0, ssim=0.7)]
  cell = cells(found(make, rows))["LWLRD 0.5"]["transpose"]
  assert (cell.verdict, cell.figures) == ("leaks", "re-id 0\u00a0%, SSIM 0.700")


def test_diverged_and_missing_pairs(make):
  rows = [
    {**row, "status": "diverged"} if row["finish"] == "scrub" and row["attack"] == "dec" else row
    for row in make.carriers((0.5,))
    if not (row["attack"] == "dec-dead" and row["defense"] == "vanilla")
  ]
  by_name = cells(found(make, rows))
  assert by_name["LWLRD 0.5 + scrub"]["dec"].verdict == "diverged"
  assert by_name["vanilla"]["dec-dead"].figures == "not run"


@pytest.mark.parametrize("missing", ["mean_image", "untreated", "lwlrd"])
def test_missing_rows_are_not_made_up(make, missing):
  table = found(make, [row for row in make.carriers(DECAYS) if row["defense"] != missing])
  by_name = cells(table)
  assert ("untreated" in by_name) == (missing != "untreated")
  assert any(name.startswith("LWLRD") for name in by_name) == (missing != "lwlrd")
  verdicts = {cell.verdict for of_defence in by_name.values() for cell in of_defence.values()}
  assert (verdicts == {"undecided"}) == (missing == "mean_image")


def test_no_attack(make):
  assert codes(judge(make.table([]), chance=1 / 2048, stolen=256)) is None


@pytest.mark.parametrize(("ber", "expected"), [(0.36, "damaged"), (0.4999, "stopped"), (0.503, "stopped")])
def test_a_code_that_is_stopped_need_not_be_destroyed(make, ber, expected):
  rows = [{**row, "ber": ber} if row["attack"] == "dec" else row for row in make.carriers((0.5,))]
  cell = cells(found(make, rows))["LWLRD 0.5 + scrub"]["dec"]
  assert (cell.kind, cell.verdict.startswith("stopped")) == (expected, True)
