"""A run in a bucket. The bucket is a folder that fsspec serves as Google's storage is served."""

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

import lwlrd_jax
from lwlrd_jax.report.__main__ import main as report
from lwlrd_jax.sweep import main


@pytest.fixture
def bucket(tmp_path):
  """The folder behind gs://."""

  class Bucket(DirFileSystem):
    protocol = ("gs", "gcs")

    def __init__(self, **options):
      del options  # of Google's
      super().__init__(path=str(tmp_path / "buckets"), fs=LocalFileSystem(auto_mkdir=True))

    @classmethod
    def _strip_protocol(cls, path):
      return path.split("://", 1)[-1].strip("/")

  for name in Bucket.protocol:
    fsspec.register_implementation(name, Bucket, clobber=True)
  Bucket.clear_instance_cache()
  return tmp_path / "buckets"


def test_begun_stopped_gone_on_with_and_read(npz, bucket, tmp_path, stop_in_wave):
  flags = [
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "transpose", "--finish", "none", "--stolen", "8", "--infect-steps", "40"),
    *("--decays", "0.3,0.7", "--no-baselines", "--epochs", "2", "--batch-size", "32", "--members-per-wave", "1"),
  ]
  out = "gs://hospital/runs/first"
  stop_in_wave(2)
  assert main([*flags, "--out", out]) == 130
  assert main([*flags, "--out", out]) == 2
  assert main([*flags, "--out", out, "--restartable"]) == 0
  assert main([*flags, "--out", str(tmp_path / "on_disk")]) == 0
  run, other = lwlrd_jax.load_run(out), lwlrd_jax.load_run(tmp_path / "on_disk")
  pd.testing.assert_frame_equal(run.results.drop(columns="seconds"), other.results.drop(columns="seconds"))
  assert run.restore(decay=0.7) is not None
  assert run.secret()["stolen"].shape == (8,)
  assert run.outcomes.keys() == other.outcomes.keys()
  assert (bucket / "hospital" / "runs" / "first" / "report.html").is_file()
  assert list((bucket / "hospital" / "runs" / "first" / "figures").glob("*.png"))
  assert report([out]) == 0
  assert main([*flags, "--out", out, "--overwrite"]) == 0
