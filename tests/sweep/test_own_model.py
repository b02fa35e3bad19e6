"""A network of a user's own, as docs/own-network.md has it, end to end."""

import importlib.util
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import lwlrd_jax
from lwlrd_jax.sweep import main

PAGE = Path(__file__).parents[2] / "docs" / "own-network.md"
FLAGS = ("--decays", "0.5,0.9", "--no-baselines", "--stolen", "8", "--infect-steps", "120", "--epochs", "2")


@pytest.fixture(scope="module")
def net(tmp_path_factory):
  """The page's network in a file, its width in another one."""
  (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
  file = tmp_path_factory.mktemp("own") / "net.py"
  assert code.count("512") == 3
  file.write_text("from sizes_of_net import WIDTH\n" + code.replace("512", "WIDTH"))
  (file.parent / "sizes_of_net.py").write_text("WIDTH = 128\n")
  return file


def sweep(npz, out, model, *more):
  data = ("--dataset", "npz", "--npz", str(npz), "--batch-size", "32", "--codec", "webp", "--out", str(out))
  return main([*data, *FLAGS, "--model", str(model), *more])


@pytest.fixture(scope="module")
def run(npz, net, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "own"
  assert sweep(npz, out, f"{net}:Net", "--carriers", "all,signs", "--finish", "none,noise+scrub") == 0
  return lwlrd_jax.load_run(out)


def test_every_attack_is_run_on_it(run):
  table = run.results
  assert set(table.status) == {"ok"}
  assert set(table.model) == {"Net"}
  assert set(table.attack) == {"transpose", "dec", "dec-signs", "none"}
  untreated = table[table.defense == "untreated"].set_index("attack")
  assert (untreated.ber[["dec", "dec-signs"]] == 0).all()
  assert (untreated.surviving_bytes > 0).all()


def test_layers_are_in_their_order(run):
  assert run.config["layers"] == ["first", "norm", "last"]
  rates = run.config["members"][run.find(attack="transpose", decay=0.5).member]["peak_lr"]
  assert rates == pytest.approx([rates[0], rates[0], rates[0] / 2])  # a norm has the depth of what it is applied to


def test_its_models_come_back(run, net, monkeypatch):
  monkeypatch.syspath_prepend(net.parent)
  spec = importlib.util.spec_from_file_location("net", net)
  assert spec is not None
  module, loader = importlib.util.module_from_spec(spec), spec.loader
  assert loader is not None
  loader.exec_module(module)
  model = run.restore(build=module.Net, decay=0.5, attack="transpose", seed=0)
  assert model(jnp.zeros((2, 12, 12, 1))).shape == (2, 3)
  assert np.isfinite(model.transpose(jnp.ones((2, 3)))).all()
  with pytest.raises(ValueError, match=r"restore\(build=...\) needs what made it"):
    run.restore(decay=0.5, attack="transpose")
  with pytest.raises(ValueError, match=r"the network has layers \['dense0'"):
    run.restore(build=lwlrd_jax.models.MODELS["mlp"], decay=0.5, attack="transpose")


@pytest.mark.parametrize(
  ("name", "before", "after"),
  [("net.py", "nnx.relu(self.norm", "nnx.gelu(self.norm"), ("sizes_of_net.py", "128", "64")],
)
def test_a_network_that_changed_is_not_gone_on_with(run, npz, net, capsys, name, before, after):
  file = net.parent / name
  text = file.read_text()
  assert before in text
  file.write_text(text.replace(before, after))
  try:
    more = ("--carriers", "all,signs", "--finish", "none,noise+scrub", "--resume")
    assert sweep(npz, run.path, f"{net}:Net", *more) == 2
  finally:
    file.write_text(text)
  assert "Net is not what it was when the run was started" in capsys.readouterr().err


def test_units_behind_a_norm_cannot_be_retired(npz, net, tmp_path, capsys):
  assert sweep(npz, tmp_path / "never", f"{net}:Net", "--attacks", "dec", "--carriers", "dead") == 2
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert line.startswith("error: --attacks dec-dead: no layer of this network has units that")


def test_without_a_way_back_transpose_is_refused(npz, net, tmp_path, capsys):
  file = net.with_name("forwards.py")
  file.write_text(net.read_text().replace("def transpose", "def another"))
  assert sweep(npz, tmp_path / "never", f"{file}:Net") == 2
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert line.startswith("error: --attacks transpose,dec: ")
  assert "has no method transpose" in line
  assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("model", ["resnet", "nowhere.py:Net", "net.py"])
def test_no_such_network(npz, tmp_path, capsys, model):
  assert sweep(npz, tmp_path / "never", model) == 2
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert line.startswith(f"error: --model {model}: ")
  assert line.endswith("allowed: mlp, cnn, resnet18, vit, vit-small, or FILE.py:NAME")
