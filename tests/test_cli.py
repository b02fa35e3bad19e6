import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lwlrd_jax import __version__, load_run, sweep
from lwlrd_jax.__main__ import main as dispatch
from lwlrd_jax.attacks.registry import FLAGS
from lwlrd_jax.cli import parse_command_line, parse_configs
from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.errors import UserError, with_flags
from lwlrd_jax.plan.names import check_names
from lwlrd_jax.report.__main__ import Reports
from lwlrd_jax.report.__main__ import main as report_main
from lwlrd_jax.storage import path_of


def parse(*arguments):
  configs = parse_configs(SweepConfig, arguments, program="sweep")
  assert list(configs) == [""]
  return configs[""]


def test_defaults_are_the_dataclass():
  assert parse() == SweepConfig()


def test_flags():
  config = parse("--decays", "0.5", "--stolen", "7", "--no-baselines", "--out", "x")
  assert config.tuning.decays == (0.5,)
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
  assert (config.tuning.decays, config.tuning.epochs, config.infection.stolen) == ((0.4,), 2, 5)


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
    check_names(config)


@pytest.mark.parametrize("study", ["dermamnist", "dermamnist_cnn"])
def test_studies_are_of_their_data(study, pytestconfig):
  config = parse("--config", str(pytestconfig.rootpath / "sweeps" / f"{study}.py"))
  assert config.data.dataset == "dermamnist"


def test_the_study_of_mimic_cxr_is_valid(pytestconfig):
  config = parse("--config", str(pytestconfig.rootpath / "sweeps" / "mimic_cxr.py"), "--mimic-dir", "mine")
  validate(config)
  assert (config.data.dataset, str(config.data.mimic_dir)) == ("mimic-cxr", "mine")


def refused(*arguments):
  """The one line in which a command line ends that is wrong by itself."""

  def check():
    config = parse(*arguments)
    validate(config)
    check_names(config)

  with pytest.raises(UserError) as error:
    check()
  said = with_flags(str(error.value))
  assert "\n" not in said
  assert "\x1b" not in said
  return said


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--decay", "0.5"], "--decay: there is no such flag; did you mean --decays? "),
    (["--decay=0.5"], "--decay=0.5: there is no such flag; did you mean --decays=0.5? "),
    (["--seed", "3"], "--seed: there is no such flag; did you mean --seeds? "),
    (["-seeds", "3"], "-seeds: there is no such flag; did you mean --seeds? "),
    (["--lr", "0.1"], "--lr: there is no such flag; did you mean --lrs? "),
    (["--Epochs", "1"], "--Epochs: there is no such flag; did you mean --epochs? "),
    (["--nobaselines"], "--nobaselines: there is no such flag; did you mean --no-baselines? "),
    (["--versoin"], "--versoin: there is no such flag; did you mean --version? "),
    (["\u2013\u2013decays", "0.5"], "\u2013\u2013decays: belongs to no flag; did you mean --decays? "),
    (["decays=0.5"], "decays=0.5: belongs to no flag; did you mean --decays=0.5? "),
    (["--zzz"], "--zzz: there is no such flag; allowed: what --help lists"),
    (["--baselines", "false"], "--baselines false: takes no value; did you mean --no-baselines? "),
    (["--baselines=False"], "--baselines False: takes no value; did you mean --no-baselines? "),
    (["--baselines", "yes"], "--baselines yes: takes no value; did you mean --baselines? "),
    (["--no-baselines", "false"], "--no-baselines false: takes no value; did you mean --baselines? "),
    (["--dry-run=1"], "--dry-run 1: takes no value; did you mean --dry-run? "),
    (["--stolen", "10%"], "--stolen 10%: takes a whole number, not a share; allowed: --stolen N, such as "),
    (["--seeds", "1e3"], "--seeds 1e3: not a whole number; did you mean --seeds 1000? "),
    (["--stolen", "1,000"], "--stolen 1,000: not a whole number; did you mean --stolen 1000? "),
    (["--seeds", "1.5"], "--seeds 1.5: not a whole number; allowed: a whole number"),
    (["--share", "10%"], "--share 10%: not a number; did you mean --share 0.1? "),
    (["--share", "0,5"], "--share 0,5: not a number; did you mean --share 0.5? "),
    (["--share", "nan%"], "--share nan%: not a number; allowed: a number"),
    (["--out"], "--out: needs a value; "),
    (["--out", "--resume"], "--out: needs a value; "),
    (["--npz", ""], "--npz '': empty; allowed: a path"),
    (["--out", ""], "--out '': empty; allowed: a folder"),
    (["--out", "~nobody-of-this-name/x"], "--out ~nobody-of-this-name/x: that home folder is not known; "),
  ],
)
def test_the_nearest_right_form_is_in_the_line(arguments, said):
  assert refused(*arguments).startswith(said)


@pytest.mark.parametrize(
  ("flag", "given", "meant"),
  [
    ("--optimizer", "Adam", "adam"),
    ("--optimizer", "adamw", "adam"),
    ("--compute", "bfloat", "bfloat16"),
    ("--shape", "cosin", "cosine"),
    ("--overlap", "al", "all"),
    ("--granularity", "blocks", "block"),
    ("--augment", "flips", "flip"),
    ("--stream", "alway", "always"),
    ("--strategy", "vmapp", "vmap"),
    ("--matmul-precision", "float_32", "float32"),
    ("--codec", "webpp", "webp"),
    ("--code", "entropie", "entropy"),
    ("--scenario", "Internal", "internal"),
    ("--model", "ResNet18", "resnet18"),
    ("--model", "vit_small", "vit-small"),
    ("--model", "mine.py", "mine.py:NAME"),
    ("--labeler", "CheXpert", "chexpert"),
    ("--uncertain", "one", "ones"),
    ("--attacks", "transposed", "transpose"),
    ("--carriers", "value", "values"),
    ("--directions", "earley", "early"),
    ("--finish", "scrubb", "scrub"),
    ("--prepare", "noise+prun", "prune"),
    ("--track", "tensorbord", "tensorboard"),
    ("--redundancy", "repeat5", "repeat-5"),
    ("--redundancy", "REPEAT5", "repeat-5"),
  ],
)
def test_every_enumeration_offers_the_nearest_name(flag, given, meant):
  said = refused(flag, given)
  assert said.startswith(f"{flag} {given}: ")
  assert f"; did you mean {meant}? allowed: " in said


def test_all_attacks_are_named_where_all_is_asked_for():
  assert f"all of them are {','.join(FLAGS)}; " in refused("--attacks", "all")
  assert "all of them are early,late; " in refused("--directions", "all")
  assert parse("--attacks", ",".join(FLAGS)).infection.attacks == tuple(FLAGS)


def test_underscores_are_dashes_but_not_in_values():
  config = parse("--batch_size", "3", "--no_baselines", "--out", "a_b", "--data_dir=c_d")
  assert (config.tuning.batch_size, config.tuning.baselines, config.run.out) == (3, False, "a_b")
  assert str(config.data.data_dir) == "c_d"


def test_the_last_of_several_counts_and_none_takes_a_setting_back(tmp_path):
  file = tmp_path / "c.py"
  file.write_text("from lwlrd_jax.config import *\nCONFIG = SweepConfig(tuning=FineTuning(lrs='0.1', epochs=3))\n")
  tuning = parse("--config", str(file), "--lrs", "None", "--epochs", "4", "--epochs", "5").tuning
  assert (tuning.lrs, tuning.epochs) == (None, 5)


@pytest.mark.parametrize("word", ["~/x", "=~/x"])
@pytest.mark.parametrize("flag", ["--out", "--npz", "--data-dir", "--mimic-dir", "--codec-npz", "--model"])
def test_a_leading_tilde_is_a_home(monkeypatch, tmp_path, flag, word):
  monkeypatch.setenv("HOME", str(tmp_path))
  config = parse(f"{flag}{word}") if word.startswith("=") else parse(flag, word)
  assert str(config.flat()[flag[2:].replace("-", "_")]) == str(tmp_path / "x")


def test_a_tilde_wherever_else_a_path_is_given(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "c.py").write_text("from lwlrd_jax.config import *\nCONFIG = SweepConfig(tuning=FineTuning(epochs=3))\n")
  assert parse("--config=~/c.py").tuning.epochs == 3
  reports = parse_command_line(Reports, ["~/a", "--out=~/b.html", "c"], program="report")
  assert reports == Reports((str(tmp_path / "a"), "c"), tmp_path / "b.html")
  assert path_of("~/r") == tmp_path / "r"
  assert str(path_of("r/~")) == "r/~"
  with pytest.raises(UserError, match=f"^{tmp_path / 'r'}: no run there"):
    load_run("~/r")


def test_mistakes_of_the_report(capsys):
  for arguments, said in (
    (["--oot", "x.html", "r"], "error: --oot: there is no such flag; did you mean --out? "),
    ([], "error: RUN: none given; "),
    (["r", "--out"], "error: --out: needs a value; "),
  ):
    assert report_main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_several_lines_of_a_mistake_are_one(capsys):
  assert sweep.main(["--optimizer", "one\ntwo"]) == 2
  assert capsys.readouterr().err.startswith("error: --optimizer one two: not known; ")


@pytest.mark.parametrize("columns", ["1", "20", "80", "200", "x"])
def test_help_fits_where_it_is_read(monkeypatch, capsys, columns):
  monkeypatch.setenv("COLUMNS", columns)
  for main in (sweep.main, report_main):
    with pytest.raises(SystemExit, match=r"^0$"):
      main(["--help"])
    text = capsys.readouterr().out
    assert text.isascii()
    if columns in ("80", "200"):
      assert max(map(len, text.splitlines())) <= int(columns)
    if columns == "20":  # as words and names of flags allow, and a heading that is argparse's own
      lengths = sorted(len(line) for line in text.splitlines() if line != "positional arguments:")
      assert lengths[-len(lengths) // 20] <= 20


def test_help_beside_a_configuration_tells_its_values(tmp_path, capsys):
  file = tmp_path / "c.py"
  file.write_text("from lwlrd_jax.config import *\nCONFIG = SweepConfig(tuning=FineTuning(batch_size=77))\n")
  with pytest.raises(SystemExit):
    sweep.main(["--config", str(file), "--help"])
  assert "(default: 77)" in capsys.readouterr().out


def test_versions_and_the_command_of_all_commands(capsys):
  for main in (sweep.main, report_main, lambda words: sys.exit(dispatch(words))):
    with pytest.raises(SystemExit, match=r"^0$"):
      main(["--version"])
    assert capsys.readouterr().out == f"lwlrd_jax {__version__}\n"
  for words in ([], ["--help"], ["-h"]):
    assert dispatch(words) == 0
    said = capsys.readouterr().out
    assert "sweep" in said
    assert "report" in said
  assert dispatch(["sweep", "--decay", "1"]) == 2
  assert "did you mean --decays? " in capsys.readouterr().err
  assert dispatch(["report"]) == 2
  assert capsys.readouterr().err.startswith("error: RUN: none given")
  assert dispatch(["sweeep"]) == 2
  assert capsys.readouterr().err.startswith("error: python -m lwlrd_jax sweeep: not known; did you mean sweep? ")
  with pytest.raises(SystemExit, match=r"^0$"):
    dispatch(["report", "--help"])


def in_a_shell(line, **environment):
  """Exit code of a line's Python process, and what came of it."""
  done = subprocess.run(
    ["bash", "-c", line.replace("PY", sys.executable)],
    capture_output=True,
    text=True,
    errors="replace",
    check=False,
    env={**os.environ, "PYTHONPATH": str(Path(sweep.__file__).parents[1]), **environment},
  )
  return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["lwlrd_jax", "lwlrd_jax.sweep --help", "lwlrd_jax.report --help"])
def test_a_closed_pipe_is_no_mistake(command):
  assert in_a_shell(f"set -o pipefail; PY -m {command} | true") == (141, "", "")


def test_a_mistake_that_nobody_reads():
  assert in_a_shell("{ PY -m lwlrd_jax nothing; echo $? >&3; } 3>&1 2>&1 >&- | cat")[1].splitlines()[-1] == "2"
  assert in_a_shell("set -o pipefail; PY -m lwlrd_jax nothing 2>&1 | true")[0] == 141


def test_streams_that_are_closed_or_full():
  assert in_a_shell("PY -m lwlrd_jax.sweep --help >&- 2>&- <&-") == (0, "", "")
  assert in_a_shell("PY -m lwlrd_jax nothing 2>&-") == (2, "", "")
  if Path("/dev/full").exists():
    said = "error: standard output: cannot be written (No space left on device)\n"
    assert in_a_shell("PY -m lwlrd_jax --version >/dev/full") == (2, "", said)


@pytest.mark.parametrize(
  "environment",
  [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii:strict", "TERM": "dumb"},
  ],
)
def test_locales_that_cannot_spell_a_name(environment):
  code, _, err = in_a_shell("PY -m lwlrd_jax \u65e5\u672c", **environment)
  assert code == 2
  assert err.startswith("error: python -m lwlrd_jax ")
  assert err.count("\n") == 1


@pytest.mark.parametrize("term", ["xterm-256color", "dumb", ""])
def test_a_terminal_gets_one_plain_line(term, monkeypatch):
  monkeypatch.setenv("TERM", term)
  monkeypatch.setenv("COLUMNS", "20")
  monkeypatch.setenv("PYTHONPATH", str(Path(sweep.__file__).parents[1]))
  keeper, terminal = pty.openpty()
  command = [sys.executable, "-m", "lwlrd_jax.sweep", "--decay", "0.5"]
  with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as process:
    said = os.read(keeper, 4096)
    process.wait()
  os.set_blocking(keeper, False)
  with contextlib.suppress(BlockingIOError):
    said += os.read(keeper, 4096)
  os.close(terminal)
  os.close(keeper)
  assert process.returncode == 2
  line = "error: --decay: there is no such flag; did you mean --decays? allowed: what --help lists"
  assert said.decode() == f"{line}\r\n"


def test_schedules_longer_than_memory_are_refused(capsys):
  assert sweep.main(["--epochs", "2000000000", "--dry-run"]) == 2
  said = "error: --epochs 2000000000: 32,000,000,000 steps; allowed: at most 1,000,000 in a fine-tuning\n"
  assert capsys.readouterr().err == said
  assert sweep.main(["--epochs", "9999999999", "--dry-run"]) == 2
  assert capsys.readouterr().err == "error: --epochs 9999999999: allowed: whole numbers from 1 to 2,147,483,647\n"
