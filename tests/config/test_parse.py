import pytest

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.parse import parse_decays, parse_lrs, parse_names
from lwlrd_jax.errors import UserError


@pytest.mark.parametrize(
  ("text", "values"),
  [
    ("0.1:0.9", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    ("0.2:1:5", (0.2, 0.4, 0.6, 0.8, 1.0)),
    ("0.5:0.6:2", (0.5, 0.6)),
    ("0.7", (0.7,)),
    ("1", (1.0,)),
    (" 0.9, 0.1 ,0.9", (0.9, 0.1)),
  ],
)
def test_decays(text, values):
  assert parse_decays(text) == values


@pytest.mark.parametrize(
  "text",
  [
    *("0:2", "0.9:0.1", "abc", "", " ", "0", "1.1", "-0.5", "0.1:", ":0.9", "0.1:0.9:1", "0.1:0.9:x", "0.1:0.5:3:2"),
    *("nan", "0.1:nan", "inf", "0.1,,0.2", "0.5:0.5", "0.1:0.9:2.5", "1e-12:0.5", "0.1:0.1000000001:9"),
  ],
)
def test_bad_decays_name_the_flag_the_value_and_what_is_allowed(text):
  with pytest.raises(UserError) as error:
    parse_decays(text)
  message = str(error.value)
  assert message.startswith("--decays")
  assert text in message
  assert "(0, 1]" in message
  assert "\n" not in message


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1e-2;3", "inf", "nan"])
def test_bad_lrs(text):
  with pytest.raises(UserError, match=r"^--lrs .*above 0"):
    parse_lrs(text)
  with pytest.raises(UserError, match=r"^--high-lrs .*above 0"):
    parse_lrs(text, flag="--high-lrs")


def test_names():
  assert parse_names("--attacks", "a, b,a", ("a", "b")) == ("a", "b")
  with pytest.raises(UserError, match=r"--attacks a,c: 'c' is not known; allowed: a, b"):
    parse_names("--attacks", "a,c", ("a", "b"))


def test_flag_names_are_unique_across_groups():
  config = SweepConfig()
  groups = vars(config).values()
  assert len(config.flat()) == sum(len(vars(group)) for group in groups)
