import json

import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.report.load import load
from lwlrd_jax.report.page import render
from lwlrd_jax.report.search import read_search


def found(tmp_path, entry):
  return read_search(tmp_path / "config.json", entry)


def test_the_recommended_schedule(make, tmp_path):
  search = found(tmp_path, make.search())
  assert search.sentence == (
    "Of 24 schedules tried in 3 rounds, lwlrd-0.5 is recommended: it stops every attack. It leaves re-identification "
    "0.40\u00a0% and loses 0.030 of AUC on the validation split, 0.020 on the test split. New images may fare a little "
    "worse than those it was chosen by."
  )
  table = search.front
  assert [row.cells[0].text for row in table.rows] == ["lwlrd-0.3", "lwlrd-0.5", "lwlrd-0.6"]  # by what is lost
  assert [row.kind for row in table.rows] == ["", "winner", ""]
  assert [row.cells[-1].text for row in table.rows] == ["", "recommended", ""]
  # What it is selected and sorted by stands beside what came of it.
  lost = [name for name, _, _ in table.headers].index("AUC lost, validation")
  assert [[cell.text for cell in row.cells[lost : lost + 2]] for row in table.rows] == [
    ["0.020", "0.010"],
    ["0.030", "0.020"],
    ["0.041", "0.031"],
  ]
  assert all(len(row.cells) == len(table.headers) for row in table.rows)


def test_none_is_recommended(make, tmp_path):
  search = found(tmp_path, make.search(None) | {"rounds": 1})
  assert search.sentence == (
    "Of 24 schedules tried in 1 round, none loses at most 0.050 of AUC on the validation split."
  )


@pytest.mark.parametrize(
  ("failed", "why"),
  [
    (24, "none loses at most 0.050 of AUC on the validation split (24 diverged or failed)."),
    (0, "none loses at most 0.050 of AUC on the validation split."),
  ],
)
def test_why_none_is_recommended(make, tmp_path, failed, why):
  assert why in found(tmp_path, make.search(None) | {"failed": failed}).sentence


@pytest.mark.parametrize(
  ("through", "cell", "words", "choice"),
  [
    (["transpose", "dec"], "none", "lwlrd-0.5 leaks least. It leaves re-identification 0.40\u00a0%", "leaks least"),
    (
      ["transpose"],
      "1 of 2, all but transpose",
      "lwlrd-0.5 stops most: 1 of 2, all but transpose. It leaves ",
      "stops most",
    ),
  ],
)
def test_none_stops_every_attack(make, tmp_path, through, cell, words, choice):
  entry = make.search()
  for candidate in entry["front"]:
    candidate["through"] = through
  search = found(tmp_path, entry)
  assert "none stops every attack and loses at most 0.050 of AUC on the validation split" in search.sentence
  assert words in search.sentence
  assert "recommended" not in search.sentence
  rows = search.front.rows
  assert [row.cells[-1].text for row in rows] == ["", choice, ""]
  assert {row.cells[-2].text for row in rows} == {cell}


def test_an_empty_cell_and_no_front(make, tmp_path):
  entry = make.search()
  entry["front"][0]["decay"] = None
  assert found(tmp_path, entry).front.rows[2].cells[2].text == ""
  assert found(tmp_path, entry | {"front": [], "recommended": None}).front.rows == []
  assert found(tmp_path, None) is None


@pytest.mark.parametrize(
  "edit",
  [
    lambda entry: entry.pop("front"),
    lambda entry: entry.update(recommended=7),
    lambda entry: entry.update(recommended="first"),
    lambda entry: entry.update(max_auc_drop="little"),
    lambda entry: entry["front"][0].pop("reid"),
    lambda entry: entry["front"][0].update(through=None),
    lambda entry: entry["front"][0].update(through=["another"]),
    lambda entry: entry["front"].append(3),
  ],
)
def test_a_broken_search_is_one_line(make, tmp_path, edit):
  entry = make.search()
  edit(entry)
  with pytest.raises(UserError, match=r"config\.json: search cannot be read"):
    found(tmp_path, entry)


def test_its_section(make, tmp_path):
  run = make.run(tmp_path / "run", make.sweep((0.5,)), samples=False, search=make.search())
  loaded = load(run)
  text = render(loaded, [])
  assert "<h2>Search</h2>" in text
  assert "search.front" not in text  # nor is it a setting
  config = json.loads((run / "config.json").read_text())
  del config["search"]
  (run / "config.json").write_text(json.dumps(config))
  loaded = load(run)
  assert "<h2>Search</h2>" not in render(loaded, [])
