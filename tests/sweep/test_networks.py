"""Small sizes of the deep networks, end to end: both attacks and their relatives, statistics, steps on the weights."""

import json

import pytest

import lwlrd_jax
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.models.network import STATISTICS
from lwlrd_jax.sweep import main

# The sweeps of test_every_kind.py, with the newest versions, have these networks too.
pytestmark = pytest.mark.slow

FILE = """
import functools
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.architectures.vit import ViT

resnet = functools.partial(ResNet, channels=12, stages=(1, 1))
vit = functools.partial(ViT, width=32, depth=2, heads=2, hidden=64)
"""
ATTACKS = {"resnet": "transpose,dec", "vit": "transpose,rehearsed"}


@pytest.fixture(scope="module", params=["resnet", "vit"])
def run(request, npz, tmp_path_factory):
  folder = tmp_path_factory.mktemp("networks")
  (folder / "nets.py").write_text(FILE)
  code = main(
    [
      *("--dataset", "npz", "--npz", str(npz), "--model", f"{folder / 'nets.py'}:{request.param}"),
      *("--attacks", ATTACKS[request.param], "--carriers", "signs,dictionary", "--codec", "webp", "--stolen", "8"),
      *("--infect-steps", "24", "--infect-batch-size", "16", "--batch-size", "32", "--epochs", "2"),
      *("--decays", "0.5", "--lrs", "0.001", "--no-baselines", "--granularity", "block"),
      *("--finish", "none,scrub", "--out", str(folder / "run")),
    ]
  )
  assert code == 0
  return lwlrd_jax.load_run(folder / "run")


def _is_vit(run):
  return "position" in run.config["layers"]


def test_every_member_is_well(run):
  table = run.results
  assert set(table.status) == {"ok"}
  more = {"transpose-rehearsed"} if _is_vit(run) else {"dec-signs", "dec-dictionary"}
  assert set(table.attack) == {"transpose", "none", *more}
  fine_tuned = table[table.defense == "lwlrd"]
  assert set(fine_tuned.finish) == {"none", "scrub"}
  assert set(fine_tuned.granularity) == {"block"}
  assert (table[table.attack.str.startswith("dec") & (table.defense == "untreated")].ber == 0).all()


def test_an_attacker_trains_with_the_batches_that_were_asked_for(run):
  config = json.loads((run.path / "config.json").read_text())
  sizes = {name: settings["batch_size"] for name, settings in config["infection"].items() if "batch_size" in settings}
  assert set(sizes.values()) == {16}
  assert len(sizes) == (2 if _is_vit(run) else 1)


def test_statistics_go_where_the_model_goes(run):
  if _is_vit(run):
    assert STATISTICS not in RunDirectory(run.path).load("transpose-untreated-s0")["params"]
    return
  directory = RunDirectory(run.path)
  found = {
    finish: directory.load(run.find(attack="dec-dictionary", defense="lwlrd", finish=finish).member)["params"]
    for finish in ("none", "scrub")
  }
  statistics = {finish: params[STATISTICS]["blocks.1.norm0"]["mean"] for finish, params in found.items()}
  assert (statistics["none"] != statistics["scrub"]).all()
  untreated = directory.load("dec-dictionary-untreated-s0")["params"]
  assert (untreated[STATISTICS]["blocks.1.norm0"]["mean"] != statistics["none"]).all()
  # What belongs to no layer was stripped, but statistics belong to the network.
  assert set(found["none"]) - set(found["scrub"]) == set(untreated) - {*run.config["layers"], STATISTICS}
