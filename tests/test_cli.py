import subprocess
import sys
from pathlib import Path

import pytest

from lwlrd_jax.cli import parse_configs
from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.errors import UserError


def parse(*arguments):
  configs = parse_configs(SweepConfig, arguments, program="sweep")
  assert list(configs) == [""]
  return configs[""]


def test_defaults_are_the_dataclass():
  assert parse() == SweepConfig()


def test_flags():
  config = parse("--decays", "0.5", "--stolen", "7", "--no-baselines", "--out", "x")
  assert config.tuning.decays == "0.5"
  assert config.infection.stolen == 7
  assert not config.tuning.baselines
  assert str(config.run.out) == "x"
  assert parse("--baselines").tuning.baselines


@pytest.mark.parametrize(
  "arguments", [("--stolen", "abc"), ("--decay", "0.5"), ("--foo",), ("stray",), ("--out",), ("--seeds", "1.5")]
)
def test_a_mistake_is_one_line_that_names_the_word(arguments):
  with pytest.raises(UserError) as error:
    parse(*arguments)
  assert "\n" not in str(error.value)
  assert arguments[0] in str(error.value)


def test_config_file_gives_defaults_and_flags_win(tmp_path):
  file = tmp_path / "study.py"
  file.write_text(
    "from lwlrd_jax.config import FineTuning, Infection, SweepConfig\n"
    "CONFIG = SweepConfig(tuning=FineTuning(decays='0.3', epochs=2), infection=Infection(stolen=5))\n"
  )
  config = parse("--config", str(file), "--decays", "0.4")
  assert (config.tuning.decays, config.tuning.epochs, config.infection.stolen) == ("0.4", 2, 5)


def test_a_study_has_several_by_name_and_flags_win_in_all(tmp_path):
  file = tmp_path / "study.py"
  file.write_text(
    "from lwlrd_jax.config import FineTuning, SweepConfig\n"
    "CONFIGS = {x: SweepConfig(tuning=FineTuning(optimizer=x, epochs=2)) for x in ('adam', 'sgd')}\n"
  )
  configs = parse_configs(SweepConfig, ["--config", str(file), "--epochs", "3"], program="sweep")
  assert [(name, x.tuning.optimizer, x.tuning.epochs) for name, x in configs.items()] == [
    ("adam", "adam", 3),
    ("sgd", "sgd", 3),
  ]


_BOTH = "from lwlrd_jax.config import SweepConfig\nCONFIG = SweepConfig()\nCONFIGS = {'a': CONFIG}\n"


@pytest.mark.parametrize(
  "text", ["CONFIGS = {}\n", "CONFIGS = {'a': 1}\n", "CONFIGS = [1]\n", _BOTH, "CONFIGS = {'../a': 1}\n"]
)
def test_bad_studies(tmp_path, text):
  file = tmp_path / "study.py"
  file.write_text(text)
  with pytest.raises(UserError, match=r"^--config .*study\.py: .*allowed") as error:
    parse("--config", str(file))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["x = 1\n", "CONFIG = 3\n", "import nothing_of_that_name\n", "1 +\n"])
def test_bad_config_files(tmp_path, text):
  file = tmp_path / "study.py"
  file.write_text(text)
  with pytest.raises(UserError, match=r"^--config .*study\.py: "):
    parse("--config", str(file))


def test_missing_config_file():
  with pytest.raises(UserError, match=r"^--config nowhere\.py: no such file"):
    parse("--config", "nowhere.py")


def test_help_names_every_flag_and_does_not_wait_for_jax():
  answer = subprocess.run(
    [sys.executable, "-X", "importtime", "-m", "lwlrd_jax.sweep", "--help"], capture_output=True, text=True, check=True
  )
  for flag in SweepConfig().flat():
    assert f"--{flag.replace('_', '-')}" in answer.stdout
  imported = {line.rsplit("|", 1)[-1].strip() for line in answer.stderr.splitlines() if "|" in line}
  assert "lwlrd_jax.config" in imported
  assert not imported & {"jax", "pandas", "orbax.checkpoint", "matplotlib", "tensorflow_datasets", "grain"}


@pytest.mark.parametrize(
  "file", sorted((Path(__file__).parents[1] / "sweeps").glob("*.py")), ids=lambda file: file.stem
)
def test_every_study_is_valid(file):
  configs = parse_configs(SweepConfig, ["--config", str(file)], program="sweep")
  assert configs
  for config in configs.values():
    validate(config)


@pytest.mark.parametrize("study", ["dermamnist", "dermamnist_cnn"])
def test_studies_are_of_their_data(study, pytestconfig):
  config = parse("--config", str(pytestconfig.rootpath / "sweeps" / f"{study}.py"))
  assert config.data.dataset == "dermamnist"


def test_the_study_of_mimic_cxr_is_valid(pytestconfig):
  config = parse("--config", str(pytestconfig.rootpath / "sweeps" / "mimic_cxr.py"), "--mimic-dir", "mine")
  validate(config)
  assert (config.data.dataset, str(config.data.mimic_dir)) == ("mimic-cxr", "mine")
