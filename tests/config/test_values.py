import copy
import time
import tracemalloc

import pytest

from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.config.kinds import kinds_of
from lwlrd_jax.config.reading import read_decays, read_floors, read_lrs, read_names
from lwlrd_jax.config.values import MOST_MEMBERS
from lwlrd_jax.data.augment import AUGMENTATIONS
from lwlrd_jax.data.mimic.choices import LABELERS, UNCERTAIN
from lwlrd_jax.defenses.schedules import SHAPES
from lwlrd_jax.engine.optimizer import INNER
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
  assert read_decays("--decays", text) == values


@pytest.mark.parametrize(
  "text",
  [
    *("0:2", "0.9:0.1", "abc", "", " ", "0", "1.1", "-0.5", "0.1:", ":0.9", "0.1:0.9:1", "0.1:0.9:x", "0.1:0.5:3:2"),
    *("nan", "0.1:nan", "inf", "0.1,,0.2", "0.5:0.5", "0.1:0.9:2.5", "1e-12:0.5", "0.1:0.1000000001:9"),
  ],
)
def test_bad_decays_name_the_flag_the_value_and_what_is_allowed(text):
  with pytest.raises(UserError) as error:
    read_decays("--decays", text)
  message = str(error.value)
  assert message.startswith("--decays")
  assert text in message
  assert "(0, 1]" in message
  assert "\n" not in message


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1e-2;3", "inf", "nan"])
def test_bad_lrs(text):
  with pytest.raises(UserError, match=r"^--lrs .*above 0"):
    read_lrs("--lrs", text)
  with pytest.raises(UserError, match=r"^--high-lrs .*above 0"):
    read_lrs("--high-lrs", text)


def test_names():
  assert read_names("--attacks", "a, b,a", allowed=("a", "b")) == ("a", "b")
  with pytest.raises(UserError, match=r"--attacks a,c: 'c' is not known; allowed: a, b"):
    read_names("--attacks", "a,c", allowed=("a", "b"))


def test_flag_names_are_unique_across_groups():
  config = SweepConfig()
  groups = vars(config).values()
  assert len(config.flat()) == sum(len(vars(group)) for group in groups)


def with_(**flags):
  """A configuration with these flags."""
  return SweepConfig().replaced(flags)


@pytest.mark.parametrize("count", ["1000000000", "1e9", "100001", "9" * 300])
def test_a_giant_range_is_never_made(count):
  tracemalloc.start()
  started = time.monotonic()
  with pytest.raises(UserError, match=r"^--decays 0\.1:0\.9:.* values; allowed: at most 100,000 members") as error:
    read_decays("--decays", f"0.1:0.9:{count}")
  assert tracemalloc.get_traced_memory()[1] < 10**6
  tracemalloc.stop()
  assert time.monotonic() - started < 1
  assert len(str(error.value)) < 600


def test_a_range_counts_in_whole_numbers():
  assert read_decays("--decays", "0.1:0.9:9e0") == read_decays("--decays", "0.1:0.9")
  for count in ("2.5", "inf", "nan"):
    with pytest.raises(UserError, match=r"N is a whole number; allowed: "):
      read_decays("--decays", f"0.1:0.9:{count}")


@pytest.mark.parametrize("read", [read_decays, read_lrs, read_floors])
def test_a_giant_list_is_neither_read_nor_repeated(read):
  with pytest.raises(UserError, match=r" 1,000,001 values; allowed: at most 100,000 members in a sweep$") as error:
    read("--decays", "0.5," * 10**6 + "x")
  assert len(str(error.value)) < 200


def test_of_a_list_the_wrong_entry_is_named():
  with pytest.raises(UserError, match=r"^--lrs 0\.1,x: 'x' is no number; "):
    read_lrs("--lrs", "0.1,x")
  with pytest.raises(UserError, match=r"^--lrs 0\.1,-2: '-2' is out of range; ") as error:
    read_lrs("--lrs", "0.1,-2")
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("flags", "said"),
  [
    ({"decays": "0.1:0.9:1000", "seeds": 101}, "--decays (1,000) x --finish (2) x --attacks (2) x --seeds (101): 4"),
    ({"decays": "0.1:0.9:400", "lrs": ",".join(map(str, range(1, 301))), "attacks": "dec"}, "--decays (400) x --lrs"),
    (
      {"decays": "0.1:0.9:50000", "floors": "0,0.1,0.2", "attacks": "dec"},
      "--decays (50,000) x --floors (3) x ",
    ),
    ({"search": 10**9}, "--search (1,000,000,000) x --finish (2) x --attacks (2): 4,000,000,000 members"),
    ({"seeds": 10**8}, "--decays (9) x --finish (2) x --attacks (2) x --seeds (100,000,000): 3,600,000,000"),
    (
      {"decays": "0.5", "high_lrs": ",".join(map(str, range(1, 60001)))},
      "--high-lrs (60,000) x --finish (2) x ",
    ),
    ({"finish": "none,noise", "prepare": "none,noise", "decays": "0.1:0.9:20000"}, "--decays (20,000) x --prepare (2)"),
    ({"start": "keep,redraw", "decays": "0.1:0.9:20000"}, "--decays (20,000) x --start (2) x --finish (2) x --attacks"),
  ],
)
def test_giant_products_are_refused(flags, said):
  with pytest.raises(UserError) as error:
    validate(with_(**flags))
  assert str(error.value).startswith(said)
  assert str(error.value).endswith(" members; allowed: at most 100,000 in a sweep")


def test_as_many_members_as_a_sweep_takes():
  validate(with_(decays=f"0.1:0.9:{MOST_MEMBERS // 2}", attacks="transpose,dec", finish="none", baselines=False))


def test_values_keep_the_text_that_they_were_given_as():
  config = with_(decays="0.2:0.4:3", planes="4:12", redundancy="ra-3", finish="none,noise+scrub", strategy="4")
  flat = config.flat()
  assert (config.tuning.decays, flat["decays"]) == ((0.2, 0.3, 0.4), "0.2:0.4:3")
  assert (config.dec.planes, flat["planes"]) == ((4, 12), "4:12")
  assert (config.dec.redundancy, flat["redundancy"]) == (("ra", 3), "ra-3")
  assert (config.finishing.finish, flat["finish"]) == (((), ("noise", "scrub")), "none,noise+scrub")
  assert config.run.strategy == flat["strategy"] == 4
  assert with_(**flat) == config
  assert copy.deepcopy(config) == config
  assert copy.deepcopy(config).flat() == flat


def test_values_of_python_are_taken():
  config = with_(decays=(0.3, 0.5), finish=((), ("noise", "scrub")), strategy=2)
  assert config.tuning.decays == (0.3, 0.5)
  assert config.finishing.finish == ((), ("noise", "scrub"))
  assert config.flat()["finish"] == "none,noise+scrub"
  with pytest.raises(UserError, match=r"^--strategy 0: not known"):
    with_(strategy=0)


def test_names_of_flags_are_those_of_what_they_choose():
  hints = {name: kind.choices for group in vars(SweepConfig()).values() for name, kind in kinds_of(type(group)).items()}
  assert set(hints["optimizer"]) <= set(INNER)
  assert set(hints["shape"]) == set(SHAPES)
  assert set(hints["augment"]) == set(AUGMENTATIONS)
  assert set(hints["uncertain"]) == set(UNCERTAIN)
  assert hints["labeler"] == LABELERS


@pytest.mark.parametrize(
  ("flag", "text", "said"),
  [
    ("start", "shrink", "--start shrink: 'shrink' is not known; did you mean shrink-0.1? allowed: keep, redraw"),
    ("start", "keep,redrawn", "--start keep,redrawn: 'redrawn' is not known; did you mean redraw? allowed: keep"),
    ("start", "shrink-1", "--start shrink-1: 'shrink-1': outside (0, 1); allowed: keep"),
    ("start", "shrink-x", "--start shrink-x: 'shrink-x': no number; allowed: keep"),
    ("max_bytes", "1 stone", "--max-bytes 1 stone: no size; allowed: bytes, such as 800, 1kB or 0.5MB"),
    ("retrain", "0", "--retrain 0: out of range; allowed: none, or a comma list of shares above 0"),
  ],
)
def test_what_cannot_be_read_is_refused_with_what_can(flag, text, said):
  with pytest.raises(UserError) as error:
    with_(**{flag: text})
  assert str(error.value).startswith(said)


@pytest.mark.parametrize(("text", "size"), [("1kB", 1000), ("20 kB", 20_000), ("0.5MB", 500_000), ("800", 800)])
def test_sizes(text, size):
  config = with_(max_bytes=text)
  assert config.searching.max_bytes == size
  assert with_(max_bytes=size).searching.max_bytes == size
  assert str(config.searching.max_bytes) == text
