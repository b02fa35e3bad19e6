import subprocess
import sys

import pytest

from lwlrd_jax.cli import parse_command_line
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.errors import UserError


def parse(*arguments):
  return parse_command_line(SweepConfig, arguments, program="sweep")


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
  assert not imported & {"jax", "pandas", "orbax.checkpoint", "matplotlib", "tensorflow_datasets"}


@pytest.mark.parametrize("study", ["dermamnist", "dermamnist_cnn"])
def test_studies_are_valid(study, pytestconfig):
  config = parse("--config", str(pytestconfig.rootpath / "sweeps" / f"{study}.py"))
  assert config.data.dataset == "dermamnist"
