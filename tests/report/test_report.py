import html.parser
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.report import write_report
from lwlrd_jax.report.__main__ import main
from lwlrd_jax.report.figures import decay, draw_figures
from lwlrd_jax.report.load import load
from lwlrd_jax.report.page import render

FIGURES = {"frontier", "reconstructions", "decay", "rates", "surviving"}
DECAYS = (0.3, 0.5, 0.7)


class Page(html.parser.HTMLParser):
  """Everything a browser could fetch, and the text."""

  def __init__(self, text):
    super().__init__()
    self.links, self.texts, self.images, self.open = [], [], [], []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    found = dict(attrs)
    self.links += [found[name] for name in ("src", "href", "srcset", "data", "action") if found.get(name)]
    if tag == "img":
      self.images.append(found)
    self.open.append(tag)

  def handle_data(self, data):
    self.texts.append(data)


def figures_of(run):
  return {file.stem for file in (run / "figures").glob("*.png")}


def page_without_figures(run_dir):
  run = load(run_dir)
  return render(run, [])


@pytest.fixture(scope="module")
def report(make, tmp_path_factory):
  run = make.run(tmp_path_factory.mktemp("report") / "run", make.sweep(DECAYS, lrs=(0.01, 0.03), seeds=2))
  assert write_report(run) == run / "report.html"
  return run


def test_one_file_that_needs_no_other(report):
  text = (report / "report.html").read_text()
  page = Page(text)
  assert page.links
  assert all(link.startswith("data:image/png;base64,") for link in page.links)
  assert not re.search(r"https?://|@import|url\(", text)
  assert all(len(image["alt"]) > 20 for image in page.images)
  assert len(page.images) == len(FIGURES)


def test_figures_are_beside_it_and_nothing_is_half_written(report):
  assert figures_of(report) == FIGURES
  assert not [file for file in report.rglob("*.new")]
  assert (report / "figures").stat().st_mode & 0o077 == 0


def test_the_table_has_every_member(report):
  text = (report / "report.html").read_text()
  for member in pd.read_parquet(report / "results.parquet").member:
    assert f'data-key="{member}"' in text
  assert text.count('<tr class="winner">') == 3  # the mean, and each of the two seeds


def test_pictures_only_with_samples(make, tmp_path):
  run = make.run(tmp_path / "run", make.sweep((0.5,)), samples=False)
  write_report(run)
  assert figures_of(run) == FIGURES - {"reconstructions"}
  assert (
    "Pictures of reconstructions are left out, because the run directory has none" in (run / "report.html").read_text()
  )


def test_pictures_of_closed_data_need_the_flag_and_stale_ones_go(make, tmp_path):
  run = make.run(tmp_path / "run", make.sweep((0.5,)), licensed=False)
  (run / "figures").mkdir()
  (run / "figures" / "reconstructions.png").write_bytes(b"of an earlier report")
  write_report(run)
  assert figures_of(run) == FIGURES - {"reconstructions"}
  assert "show_stolen includes them" in (run / "report.html").read_text()
  shown = make.run(tmp_path / "shown", make.sweep((0.5,)), licensed=False, show=True)
  assert load(shown).samples


def damaged(rows):
  """No member but the controls has a figure."""
  figures = ("auc", "reid", "ssim", "ssim_naive", "psnr", "mse", "accuracy", "balanced_accuracy")
  statuses = ["diverged", "failed: <b>out of memory</b> & $more$"]
  return [
    row
    if row["attack"] == "none" or row["defense"] == "untreated"
    else {**row, **dict.fromkeys(figures), "status": status}
    for row, status in zip(rows, statuses * len(rows), strict=False)
  ]


@pytest.mark.parametrize("name", ["damaged", "empty", "no figures", "grey"])
def test_whatever_the_table_holds(make, tmp_path, name):
  rows = {
    "damaged": damaged(make.sweep(DECAYS)),
    "empty": [],
    "no figures": [{**row, "auc": None, "reid": np.inf, "ssim": None} for row in make.sweep((0.5,))],
    "grey": [*make.controls(), make.row("lwlrd", decay=0.7, lr_max=0.03, auc=0.8, reid=0.0, ssim=0.3)],
  }[name]
  run = make.run(tmp_path / "run", rows, channels=1 if name == "grey" else 3)
  write_report(run)
  text = (run / "report.html").read_text()
  assert not re.search(r"\bnan\b|\binf\b|<b>out", text)


def test_hostile_names_are_text(make, tmp_path):
  label = '<script>alert("x")</script>'
  run = make.run(tmp_path / "run", make.sweep((0.5,)), labels=(label, "'><img src=x>"), samples=False)
  text = page_without_figures(run)
  assert label not in text
  page = Page(text)
  assert page.open.count("script") == 1
  assert not page.images
  assert any(label in data for data in page.texts)


def test_many_layers_and_a_hostile_layer_name(make, tmp_path):
  run = make.run(tmp_path / "run", make.sweep(DECAYS), samples=False)
  config = json.loads((run / "config.json").read_text())
  config["layers"] = [f"$block{i}_{{" for i in range(20)]
  for member in config["members"].values():
    member["peak_lr"] = [0.0] + [0.01] * 19  # a frozen layer too
  (run / "config.json").write_text(json.dumps(config))
  loaded = load(run)
  assert "rates" in {figure.name for figure in draw_figures(loaded)}


@pytest.mark.parametrize(
  ("train", "stolen", "seeds", "cautious"),
  [(2048, 256, 1, False), (2048, 100, 1, True), (2048, 100, 2, False), (20, 4, 1, True), (1, 1, 1, True)],
)
def test_too_few_stolen_images_are_said(make, tmp_path, train, stolen, seeds, cautious):
  rows = make.sweep((0.5,), seeds=seeds)
  run = make.run(tmp_path / "run", rows, samples=False, train=train, stolen=stolen)
  assert ("Too few" in page_without_figures(run)) == cautious


def test_few_test_images_are_said(make, tmp_path):
  run = make.run(tmp_path / "run", make.sweep((0.5,)), samples=False)
  assert "test images: differences" not in page_without_figures(run)
  config = json.loads((run / "config.json").read_text())
  config["dataset"]["test"] = 60
  (run / "config.json").write_text(json.dumps(config))
  assert "Only 60 test images: differences" in page_without_figures(run)


def test_a_rate_has_one_colour_under_every_attack(make, tmp_path):
  rows = make.sweep(DECAYS, lrs=(0.01, 0.03))
  dec = [{**row, "attack": "dec", "member": f"dec-{row['member']}"} for row in rows if row["attack"] != "none"]
  dec = [row for row in dec if not (row["defense"] == "lwlrd" and row["lr_max"] == 0.01)]
  loaded = load(make.run(tmp_path / "run", rows + dec, samples=False))
  figure = decay.draw(loaded)
  assert figure is not None
  legend = figure.legends[0]
  colours = {
    text.get_text().removeprefix("LWLRD, lr_max "): line.get_color()
    for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
  }

  def curves(axes):
    return [line.get_color() for line in axes.get_lines() if len(line.get_xdata()) == 3 and line.get_marker() == "o"]

  transpose, carrier = figure.axes[:2]
  assert curves(transpose) == [colours["0.01"], colours["0.03"]]
  assert curves(carrier) == [colours["0.03"]]


def test_an_unfinished_run_says_so(make, tmp_path):
  run = make.run(tmp_path / "run", make.sweep((0.5,)), samples=False)
  config = json.loads((run / "config.json").read_text())
  (run / "config.json").write_text(json.dumps({**config, "run_seconds": None}))
  assert "This run was not finished" in page_without_figures(run)


BREAKS = {
  "no config": lambda run: (run / "config.json").unlink(),
  "config is no JSON": lambda run: (run / "config.json").write_text("{"),
  "config of another schema": lambda run: (run / "config.json").write_text('{"schema": 99}'),
  "config lacks its entries": lambda run: (run / "config.json").write_text('{"schema": 1}'),
  "no results": lambda run: (run / "results.parquet").unlink(),
  "results are no parquet": lambda run: (run / "results.parquet").write_bytes(b"PAR1 not"),
  "results lack columns": lambda run: pd.DataFrame({"member": ["a"]}).to_parquet(run / "results.parquet"),
  "samples are no archive": lambda run: (run / "samples.npz").write_bytes(b"not"),
  "figures is a file": lambda run: (run / "figures").write_text(""),
}


def edited(**changes):
  def edit(run):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, **changes}))

  return edit


def resampled(**changes):
  def edit(run):
    with np.load(run / "samples.npz") as archive:
      arrays = {**archive, **changes}
    np.savez(run / "samples.npz", **{name: array for name, array in arrays.items() if array is not None})

  return edit


BREAKS |= {
  "run time is no number": edited(run_seconds="soon"),
  "absent classes are no list": edited(absent_classes=3),
  "rates are no numbers": edited(members={"a": {"peak_lr": ["fast"]}}),
  "no rates": edited(members={"a": None}),
  "no originals": resampled(originals=None),
  "originals are no pictures": resampled(originals=np.zeros((3, 4), np.uint8)),
  "mean image of another size": resampled(mean_image=np.zeros((5, 12, 3), np.uint8)),
  "stripped is no dict": edited(stripped=["a"]),
  "survival is no archive": lambda run: (run / "survival.npz").write_bytes(b"not"),
  "survival of other layers": lambda run: np.savez(run / "survival.npz", a=np.zeros((3, 32), np.float32)),
  "codecs are no list": lambda run: (run / "rate_distortion.json").write_text('{"codec": 1}'),
  "codecs without figures": lambda run: (run / "rate_distortion.json").write_text('[{"codec": "png", "psnr": "high"}]'),
  "codecs are no JSON": lambda run: (run / "rate_distortion.json").write_text("["),
  "mean image of floats": resampled(mean_image=np.zeros((12, 12, 3))),
}


@pytest.mark.parametrize("damage", BREAKS)
def test_a_broken_run_is_one_line_and_code_2(make, tmp_path, capsys, damage):
  run = make.run(tmp_path / "run", make.controls())
  BREAKS[damage](run)
  assert main([str(run)]) == 2
  said = capsys.readouterr()
  assert said.out == ""
  assert said.err.startswith("error: ")
  assert said.err.count("\n") == 1
  assert str(run) in said.err
  assert not (run / "report.html").exists()


def test_command_line(make, tmp_path, capsys, monkeypatch):
  monkeypatch.chdir(tmp_path)
  runs = [make.run(tmp_path / name, make.controls(), samples=False) for name in ("a", "b")]
  assert main([str(run) for run in runs]) == 0
  assert capsys.readouterr().out.split() == [*(str(run / "report.html") for run in runs), "comparison.html"]
  assert main([str(runs[0])]) == 0
  assert capsys.readouterr().out.split() == [str(runs[0] / "report.html")]
  assert main([str(tmp_path / "nowhere")]) == 2
  assert "no such folder" in capsys.readouterr().err
  assert main([]) == 2
  assert capsys.readouterr().err.startswith("error: ")
  with pytest.raises(UserError):
    write_report(tmp_path / "nowhere")


def test_as_a_program(tmp_path):
  answer = subprocess.run(
    [sys.executable, "-m", "lwlrd_jax.report", str(tmp_path / "nowhere")], capture_output=True, text=True, check=False
  )
  assert answer.returncode == 2
  assert answer.stderr == f"error: {tmp_path / 'nowhere'}: no such folder; allowed: a run directory\n"
