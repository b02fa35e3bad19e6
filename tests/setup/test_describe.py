import pytest

from lwlrd_jax.config import Data, FineTuning, SweepConfig
from lwlrd_jax.errors import UserError
from lwlrd_jax.setup.describe import check_resumable


def described(config):
  """What config.json says, as far as it decides."""
  same = {"versions": {}, "device": {"platform": "cpu"}, "dataset": {"sha256": "0"}, "model": "mlp", "infection": {}}
  return {"config": config.flat(), "fine_tuning": {"lrs": [0.02], "granularity": "layer"}, **same}


def test_a_run_from_before_a_flag_did_as_the_default_does():
  before = described(SweepConfig())
  del before["config"]["views"], before["config"]["mimic_dir"]
  check_resumable(before, described(SweepConfig()))
  with pytest.raises(UserError, match=r"^`views` PA: the run to resume had frontal; allowed: the same flags"):
    check_resumable(before, described(SweepConfig(data=Data(views="PA"))))


def test_a_default_by_the_network_is_the_same_value_given():
  before = described(SweepConfig(tuning=FineTuning(lrs=(0.02,), granularity="layer")))
  check_resumable(before, described(SweepConfig()))
  check_resumable(described(SweepConfig()), before)
  with pytest.raises(UserError, match=r"^`lrs` 0.01: the run to resume had 0.02"):
    check_resumable(before, described(SweepConfig(tuning=FineTuning(lrs=(0.01,), granularity="layer"))))


def test_where_the_data_lie_is_free_and_what_is_chosen_of_them_is_not(tmp_path):
  before = described(SweepConfig(data=Data(dataset="mimic-cxr")))
  check_resumable(before, described(SweepConfig(data=Data(dataset="mimic-cxr", mimic_dir=tmp_path))))
  with pytest.raises(UserError, match=r"^`uncertain` ones: the run to resume had ignore"):
    check_resumable(before, described(SweepConfig(data=Data(dataset="mimic-cxr", uncertain="ones"))))


def test_half_of_a_table_is_not_measured_otherwise():
  before, now = described(SweepConfig()), {**described(SweepConfig()), "measures": 2}
  check_resumable({**before, "measures": 2}, now)
  for old in (before, {**before, "measures": 3}):
    with pytest.raises(UserError, match=r"^`resume`: this version of lwlrd_jax measures otherwise"):
      check_resumable(old, now)


def test_a_network_s_file_may_be_named_from_elsewhere_and_may_not_be_another():
  def model(name, digest):
    return {**described(SweepConfig(data=Data(model=name))), "model": f"{name.rpartition(':')[2]}-{digest}"}

  before = model("nets/mine.py:Net", "0")
  check_resumable(before, model("/home/me/nets/mine.py:Net", "0"))
  check_resumable(before, model("renamed.py:Net", "0"))
  with pytest.raises(UserError, match=r"^`resume`: mine.py:Net is not what it was"):
    check_resumable(before, model("mine.py:Net", "1"))
  with pytest.raises(UserError, match=r"^`model` mine.py:Other: the run to resume had nets/mine.py:Net"):
    check_resumable(before, model("mine.py:Other", "0"))
  with pytest.raises(UserError, match=r"^`model` mlp: the run to resume had nets/mine.py:Net"):
    check_resumable(before, model("mlp", "0"))
