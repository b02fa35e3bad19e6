import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
  """Keeps every test, and what it starts, away from the user's own cache."""
  folder = tmp_path_factory.mktemp("cache")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("LWLRD_JAX_CACHE", str(folder))
    yield folder


@pytest.fixture(scope="session")
def realdata() -> Path:
  """The folder of real images; tests that need it are marked `realdata`."""
  beside = Path(__file__).resolve().parents[2] / "shared" / "data"
  folder = Path(os.environ.get("LWLRD_JAX_REALDATA", beside))
  if not folder.is_dir():
    pytest.skip(f"no real images in {folder}; $LWLRD_JAX_REALDATA may name another folder")
  return folder
