"""Whole reports of runs with several attacks and finishing steps."""

import json

import numpy as np
import pandas as pd
import pytest

from lwlrd_jax.analysis.verdict import judge
from lwlrd_jax.report import write_report
from lwlrd_jax.report.figures import (
  codecs,
  decay,
  draw_figures,
  frontier,
  planes,
  rates,
  reconstructions,
  surviving,
)
from lwlrd_jax.report.load import load
from lwlrd_jax.report.page import render
from lwlrd_jax.report.tables import table_of

DECAYS = (0.3, 0.5, 0.7)
ATTACKS = ("transpose", "dec", "dec-late", "dec-dead", "dec-dictionary")


@pytest.fixture(scope="module")
def report(make, tmp_path_factory):
  rows = make.carriers(DECAYS, attacks=ATTACKS)
  run = make.run(tmp_path_factory.mktemp("several") / "run", rows, survival=True, codecs=True)
  config = json.loads((run / "config.json").read_text())
  config["stripped"] = {"dec-dictionary": ["<memory>: float32[1024,8]"], "dec": []}
  (run / "config.json").write_text(json.dumps(config))
  write_report(run)
  return run


def test_the_page(report):
  text = (report / "report.html").read_text()
  assert "Which codes get through" in text
  assert "What is left of a bit, by layer and plane" in text
  assert "How small an image gets" in text
  note = "checkpoints of the dec-dictionary attack hold what the declared model does not have"
  assert text.count("Structural check") == text.count(note) == 1
  assert "&lt;memory&gt;: float32[1024,8]" in text
  # By words and by a class, so not by colour alone; the label is for small screens.
  assert '<td class="leaks" data-label="dec"><b>leaks</b> <span>BER 0.080, re-id 83.0\u00a0%</span></td>' in text
  assert '<td class="stopped" data-label="dec"><b>stopped</b> <span>BER 0.500, re-id 0.050\u00a0%</span></td>' in text
  untreated = next(row for row in load(report).table.to_dict("records") if row["member"].startswith("dec-untreated"))
  before, after = (f"{untreated[name]:.3f}" for name in ("host_auc", "auc"))
  hidden = f"<td>0.57 MB, 16.0 % of the room</td><td>{before} → {after}</td><td>33.4 → 33.4 dB</td><td>0.000</td>"
  assert text.count(hidden) == 4  # every attack but transpose, which hides no code
  assert {"planes", "codecs"} <= {file.stem for file in (report / "figures").glob("*.png")}


def test_the_decay_figure_does_not_mix_finishes(report):
  run = load(report)
  figure = decay.draw(run)
  assert figure is not None
  assert [axes.get_title() for axes in figure.axes[:2]] == ["transpose attack", "dec attack"]
  carrier = figure.axes[1]
  curves = [line for line in carrier.get_lines() if line.get_marker() == "o"]
  assert [np.unique(np.round(np.asarray(line.get_ydata(), float), 4)).tolist() for line in curves] == [[0.83], [0.0005]]
  names = [text.get_text() for text in figure.legends[0].get_texts()]
  assert names[:3] == ["LWLRD, lr_max 0.03", "LWLRD, lr_max 0.03 + scrub", "naive SSIM"]
  assert names[3:] == ["untreated", "clean", "vanilla", "high-LR"]


def test_the_frontier_has_the_first_attack_and_the_worst(report):
  run = load(report)
  figure = frontier.draw(run)
  assert figure is not None
  titles = [axes.get_title() for axes in figure.axes[:2]]
  assert titles == ["transpose attack", "whichever of the 5 attacks gives most away"]
  named = {text.get_text() for text in figure.legends[0].get_texts()}
  assert {"best: LWLRD 0.5 + scrub", "high-LR", "hollow: with finishers", "untreated", "clean"} <= named


def test_two_attacks_have_a_panel_each(make, tmp_path):
  run = load(make.run(tmp_path / "run", make.carriers(DECAYS, attacks=("transpose", "dec"))))
  figure = frontier.draw(run)
  assert figure is not None
  assert [axes.get_title() for axes in figure.axes[:2]] == ["transpose attack", "dec attack"]


def test_rates_are_drawn_once_whatever_the_steps(report):
  run = load(report)
  figure = rates.draw(run)
  assert figure is not None
  lines = [line for line in figure.axes[0].get_lines() if np.size(line.get_xdata()) == 4]
  assert len(lines) == len(DECAYS) + 4
  assert not any("scrub" in text.get_text() for text in figure.legends[0].get_texts())


def test_surviving_bytes_are_of_one_attack_in_blocks(report):
  run = load(report)
  figure = surviving.draw(run)
  assert figure is not None
  names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
  assert len(names) == 2 + 2 * (len(DECAYS) + 4)
  assert names.index("high-LR") < names.index("LWLRD 0.3 + scrub")
  legend = [text.get_text() for text in figure.legends[0].get_texts()]
  assert legend == ["mantissa", "exponent", "sign", "in dead weights, counted strictly"]


def test_an_extra_tensor_has_its_part_of_the_bar(make, tmp_path):
  run = load(make.run(tmp_path / "run", make.carriers((0.5,), attacks=("dec-dictionary",))))
  figure = surviving.draw(run)
  assert figure is not None
  assert "extra tensors" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_planes_by_defence_and_step(report):
  run = load(report)
  figure = planes.draw(run)
  assert figure is not None
  titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
  assert titles == ["vanilla", "high-LR", "LWLRD 0.5", "vanilla + scrub", "high-LR + scrub", "LWLRD 0.5 + scrub"]
  image = np.asarray(figure.axes[5].images[0].get_array())
  assert image.shape == (4, 32)
  assert float(image[:, :23].max()) == pytest.approx(0.01)
  assert figure.axes[0].images[0].get_clim() == (0, 1)


def test_planes_of_some_members_only(make, tmp_path):
  rows = make.carriers(DECAYS)
  run = make.run(tmp_path / "run", rows, samples=False)
  kept = {name: value for name, value in make.survival(rows).items() if name.startswith("dec-lwlrd")}
  np.savez(run / "survival.npz", **kept)
  figure = planes.draw(load(run))
  assert figure is not None
  assert [axes.get_title() for axes in figure.axes if axes.images] == ["LWLRD 0.5", "LWLRD 0.5 + scrub"]


def test_the_middle_decay_stands_in_for_a_winner_of_the_method(make, tmp_path):
  rows = [
    row | ({"auc": 0.95, "balanced_accuracy": 0.55} if row["defense"] == "high_lr" else {})
    for row in make.carriers(DECAYS)
  ]
  verdict = load(make.run(tmp_path / "run", rows, samples=False)).verdict
  leading = verdict.leading_lwlrd()
  assert verdict.chosen is not None
  assert leading is not None
  assert (verdict.chosen.defense, leading.decay) == ("high_lr", 0.5)


def test_pictures_of_the_first_attack_and_of_dec(report):
  figure = reconstructions.draw(load(report))
  assert figure is not None
  assert [part.get_suptitle() for part in figure.subfigs] == ["transpose attack", "dec attack"]
  titles = [axes.get_title().replace("\n", " ") for axes in figure.subfigs[1].axes[:8]]
  assert titles[3].startswith("best: decay 0.5 + scrub")
  assert any(title.startswith("decay 0.5 alone re-id 83.0 %") for title in titles)


def test_codecs_on_a_wide_axis_without_the_lossless_one(report):
  figure = codecs.draw(load(report))
  assert figure is not None
  axes = figure.axes[0]
  assert axes.get_xscale() == "log"
  assert axes.get_ylim()[1] < 40
  names = [text.get_text() for text in figure.legends[0].get_texts()]
  assert names == ["learned, entropy-coded", "learned, fixed length", "WebP", "JPEG", "PNG, lossless"]


def test_without_the_new_files_their_sections_are_missing(make, tmp_path):
  run = load(make.run(tmp_path / "run", make.sweep(DECAYS), samples=False))
  pictures = draw_figures(run)
  assert not {"planes", "codecs"} & {picture.name for picture in pictures}
  text = render(run, pictures)
  assert "by layer and plane" not in text
  assert "How small an image gets" not in text


def test_a_run_from_before_the_new_columns(make, tmp_path):
  rows = make.sweep(DECAYS)
  run = make.run(tmp_path / "run", rows)
  table = pd.read_parquet(run / "results.parquet")
  later = [
    "prepare",
    "exact",
    "surviving_extra",
    "surviving_dead",
    "stolen",
    "floor",
    "granularity",
    "share",
    "overlap",
  ]
  table.drop(columns=[*later, "auc_val", "downstream_auc"]).to_parquet(run / "results.parquet")
  config = json.loads((run / "config.json").read_text())
  (run / "config.json").write_text(json.dumps({**config, "infection": {"steps": 1076}}))
  write_report(run)
  read = load(run).table
  assert set(read.prepare) == {"none"}
  assert read[["exact", "surviving_extra", "surviving_dead"]].isna().all(axis=None)
  text = (run / "report.html").read_text()
  assert "wins: of the" in text
  assert "What the stolen images are worth" not in text


def test_new_columns_are_in_the_table(make):
  table = make.table(make.carriers((0.5,), attacks=("dec", "dec-dictionary")))
  headers = [text for text, _, _ in table_of(table, judge(table, chance=1 / 2048, stolen=256)).headers]
  assert {"finish", "exact images, %", "extra tensors, MB", "in dead weights, MB"} <= set(headers)


def test_attacks_without_an_untreated_control_are_named(make, tmp_path):
  rows = [row for row in make.carriers((0.5,)) if not (row["defense"] == "untreated" and row["attack"] == "dec")]
  run = load(make.run(tmp_path / "run", rows, samples=False))
  assert "There is no usable untreated control of dec: " in render(run, [])
