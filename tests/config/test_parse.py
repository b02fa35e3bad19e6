import dataclasses
import time
import tracemalloc

import pytest

from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.config.parse import MOST_MEMBERS, parse_decays, parse_floors, parse_lrs, parse_names
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


def with_(**flags):
  """A configuration with these flags."""
  config = SweepConfig()
  groups = {
    field.name: dataclasses.replace(group, **{name: flags[name] for name in vars(group) if name in flags})
    for field in dataclasses.fields(config)
    for group in [getattr(config, field.name)]
  }
  return SweepConfig(**groups)


@pytest.mark.parametrize("count", ["1000000000", "1e9", "100001", "9" * 300])
def test_a_giant_range_is_never_made(count):
  tracemalloc.start()
  started = time.monotonic()
  with pytest.raises(UserError, match=r"^--decays 0\.1:0\.9:.* values; allowed: at most 100,000 members") as error:
    parse_decays(f"0.1:0.9:{count}")
  assert tracemalloc.get_traced_memory()[1] < 10**6
  tracemalloc.stop()
  assert time.monotonic() - started < 1
  assert len(str(error.value)) < 600


def test_a_range_counts_in_whole_numbers():
  assert parse_decays("0.1:0.9:9e0") == parse_decays("0.1:0.9")
  for count in ("2.5", "inf", "nan"):
    with pytest.raises(UserError, match=r"N is a whole number; allowed: "):
      parse_decays(f"0.1:0.9:{count}")


@pytest.mark.parametrize("parse", [parse_decays, parse_lrs, parse_floors])
def test_a_giant_list_is_neither_read_nor_repeated(parse):
  with pytest.raises(UserError, match=r" 1,000,001 values; allowed: at most 100,000 members in a sweep$") as error:
    parse("0.5," * 10**6 + "x")
  assert len(str(error.value)) < 200


def test_of_a_list_the_wrong_entry_is_named():
  with pytest.raises(UserError, match=r"^--lrs 0\.1,x: 'x' is no number; "):
    parse_lrs("0.1,x")
  with pytest.raises(UserError, match=r"^--lrs 0\.1,-2: '-2' is out of range; ") as error:
    parse_lrs("0.1,-2")
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("flags", "said"),
  [
    ({"decays": "0.1:0.9:1000", "seeds": 101}, "--decays (1,000) x --attacks (2) x --seeds (101): 202,000 members"),
    ({"decays": "0.1:0.9:400", "lrs": ",".join(map(str, range(1, 301))), "attacks": "dec"}, "--decays (400) x --lrs"),
    ({"decays": "0.1:0.9:50000", "floors": "0,0.1,0.2", "attacks": "dec"}, "--decays (50,000) x --floors (3): 150,000"),
    ({"search": 10**9}, "--search (1,000,000,000) x --attacks (2): 2,000,000,000 members"),
    ({"seeds": 10**8}, "--decays (9) x --attacks (2) x --seeds (100,000,000): 1,800,000,000 members"),
    ({"decays": "0.5", "high_lrs": ",".join(map(str, range(1, 60001)))}, "--high-lrs (60,000) x --attacks (2): 120,"),
    ({"finish": "none,noise", "prepare": "none,noise", "decays": "0.1:0.9:20000"}, "--decays (20,000) x --prepare (2)"),
  ],
)
def test_giant_products_are_refused(flags, said):
  with pytest.raises(UserError) as error:
    validate(with_(**flags))
  assert str(error.value).startswith(said)
  assert str(error.value).endswith(" members; allowed: at most 100,000 in a sweep")


def test_as_many_members_as_a_sweep_takes():
  validate(with_(decays=f"0.1:0.9:{MOST_MEMBERS // 2}", attacks="transpose,dec", baselines=False))
