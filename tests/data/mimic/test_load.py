"""The data set as it is read, against counts made with pandas alone."""

import gzip
import shutil

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from lwlrd_jax.data import load_dataset
from lwlrd_jax.data.mimic import load
from lwlrd_jax.data.mimic.builder import open_builder
from lwlrd_jax.data.mimic.choices import Choices
from lwlrd_jax.data.mimic.tables import read_tables
from lwlrd_jax.errors import UserError

POLICIES = {"ignore": 255, "zeros": 0, "ones": 1}
KEPT = {
  "frontal": ["AP", "PA"],
  "PA": ["PA"],
  "LATERAL,LL": ["LATERAL", "LL"],
  "frontal,XTABLE LATERAL": ["AP", "PA", "XTABLE LATERAL"],
  "all": None,
}


def expected(copy, views, labeler="chexpert"):
  """Rows that are to be read, in order, with the labeler's columns."""
  table = copy.table("split")
  table = table.merge(copy.table("metadata")[["dicom_id", "ViewPosition"]], on="dicom_id")
  table = table.merge(copy.table(labeler), on=["subject_id", "study_id"])  # none of studies without a row
  table = table[[copy.jpeg(row).exists() for row in table.itertuples()]]
  return table if views == "all" else table[table["ViewPosition"].isin(KEPT[views])]


def wanted_labels(rows, findings, policy):
  return rows[findings].fillna(0).replace(-1.0, POLICIES[policy]).to_numpy()


def refused(copy, start, **how):
  with pytest.raises(UserError) as caught:
    copy.load(**how)
  message = str(caught.value)
  assert message.startswith(start), message
  assert "\n" not in message
  return message


@pytest.mark.parametrize("labeler", ["chexpert", "negbio"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("views", KEPT)
def test_counts_and_labels_are_those_of_the_tables(shared, views, policy, labeler):
  data = shared.load(views=views, uncertain=policy, labeler=labeler)
  rows = expected(shared, views, labeler)
  assert data.label_names[:2] == ("Atelectasis", "Cardiomegaly")
  for name, published in (("train", "train"), ("val", "validate"), ("test", "test")):
    part, of_split = getattr(data, name), rows[rows["split"] == published]
    assert len(part) == len(of_split) > 0
    assert part.images.dtype == part.labels.dtype == np.uint8
    assert part.images.shape == (len(of_split), 16, 16, 1)
    np.testing.assert_array_equal(part.labels, wanted_labels(of_split, list(data.label_names), policy))
  assert ((data.train.labels == 255).any()) == (policy == "ignore")


def test_what_it_is(shared):
  data = shared.load()
  assert (data.name, data.image_shape, data.num_outputs) == ("mimic-cxr", (16, 16, 1), 14)
  assert data.multi_label
  assert not data.openly_licensed
  assert data.label_names[-1] == "Support Devices"


def test_the_fixture_has_every_oddity(shared):
  split, metadata = shared.table("split"), shared.table("metadata")
  chexpert = shared.table("chexpert")
  assert len(split) > 200
  assert {str(subject)[:2] for subject in split["subject_id"]} == {str(number) for number in range(10, 20)}
  assert metadata["ViewPosition"].isna().any()
  assert {"AP", "PA", "LATERAL", "LL", "XTABLE LATERAL"} < set(metadata["ViewPosition"].dropna())
  assert set(np.unique(chexpert[chexpert.columns[2:]].fillna(-2))) == {-2, -1, 0, 1}
  assert not set(split["study_id"]) <= set(chexpert["study_id"])
  assert sum(not shared.jpeg(row).exists() for row in split.itertuples()) == 7
  assert split["study_id"].value_counts().max() > 1
  assert {shared.file(name).suffix for name in ("split", "metadata", "chexpert", "negbio")} == {".csv", ".gz"}


@pytest.mark.parametrize("size", [16, 40])
def test_images_are_whole_radiographs_squeezed(shared, size):
  """Against the mean of each pixel's part of the full image; blurred alike, filters differ by little."""
  data = shared.load(size=size, views="all")
  rows = expected(shared, "all")
  errors = []
  for image, row in zip(data.test.images, rows[rows["split"] == "test"].itertuples(), strict=True):
    full = Image.open(shared.jpeg(row))
    parts = np.asarray(full.resize((size * 8, size * 8), Image.Resampling.BILINEAR), np.float64)
    mean = parts.reshape(size, 8, size, 8).mean(axis=(1, 3))
    errors.append(np.abs(image[..., 0] - mean).mean())
    others = np.abs(image[..., 0] - np.roll(mean, size // 4, axis=0)).mean()
    assert errors[-1] < others
  assert max(errors) < 6


def test_prepared_once_for_all_choices_and_without_the_jpegs(copy, decoded):
  first = copy.load()
  files = len(copy.table("split"))
  assert len(decoded) == files
  shutil.rmtree(copy.folder / "files")
  for choices in ({"views": "all"}, {"uncertain": "ones"}, {"labeler": "negbio"}):
    copy.load(**choices)
  second = copy.load()
  assert len(decoded) == files
  np.testing.assert_array_equal(first.train.images, second.train.images)
  np.testing.assert_array_equal(first.train.labels, second.train.labels)


def test_another_size_is_another_set(copy, decoded):
  copy.load()
  assert copy.load(size=20).image_shape == (20, 20, 1)
  assert copy.load().image_shape == (16, 16, 1)
  assert len(decoded) == 2 * len(copy.table("split"))


def test_worker_processes_do_the_same(copy, monkeypatch):
  """The other tests that change something decode in their own process."""
  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks.CHUNK", 20)
  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks._cores", lambda: 2)
  by_two = copy.load(views="all")
  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks._cores", lambda: 1)
  alone = copy.load(views="all", data_dir=copy.folder)
  for split in ("train", "val", "test"):
    np.testing.assert_array_equal(getattr(by_two, split).images, getattr(alone, split).images)


def test_the_copy_is_only_read_and_what_is_prepared_is_private(copy, in_this_process):
  before = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*")}
  copy.load()
  assert {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*")} == before
  (folder,) = copy.cache.iterdir()
  assert folder.name == "mimic_cxr"
  assert folder.stat().st_mode & 0o777 == 0o700
  assert not list(folder.glob("unfinished*"))
  assert len(list(folder.iterdir())) == 1


def test_kept_in_the_cache_by_default(copy, in_this_process, monkeypatch, tmp_path):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "cache"))
  load_dataset("mimic-cxr", mimic=Choices(copy.folder), image_size=16)
  assert (tmp_path / "cache" / "tfds" / "mimic_cxr").stat().st_mode & 0o777 == 0o700


def test_what_is_left_out_is_told_and_listed(shared, capsys):
  shared.load(views="all")
  capsys.readouterr()
  shared.load(views="all")
  said = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("mimic-cxr: "))
  split = shared.table("split")
  labels = shared.table("chexpert")
  bare = split[~split["study_id"].isin(labels["study_id"])]
  gone = [row for row in split.itertuples() if not shared.jpeg(row).exists()]
  assert said.startswith(f"mimic-cxr: {len(expected(shared, 'all'))} of {len(split)} images; left out: ")
  assert f"left out: {len(bare)} images of {bare['study_id'].nunique()} studies without labels" in said
  assert f"left out: {len(gone)} images whose files were missing" in said
  (listed,) = {path.read_text() for path in shared.cache.rglob("missing_files.txt")}
  assert set(listed.splitlines()) == {str(shared.jpeg(row).relative_to(shared.folder)) for row in gone}


def test_a_file_that_comes_later_is_told(copy, in_this_process, capsys):
  copy.load()
  row = next(row for row in copy.table("split").itertuples() if not copy.jpeg(row).exists())
  copy.jpeg(row).parent.mkdir(parents=True, exist_ok=True)
  Image.new("L", (30, 30)).save(copy.jpeg(row))
  capsys.readouterr()
  copy.load()
  assert "1 files that were missing are there now; to take them in, remove " in capsys.readouterr().err


def test_changed_tables_are_another_set(copy, in_this_process):
  before = copy.load(uncertain="ones").train.labels
  copy.edit("chexpert", lambda table: table.assign(Fracture="1.0"))
  after = copy.load(uncertain="ones").train.labels
  assert (after[:, 5] == 1).all()
  np.testing.assert_array_equal(np.delete(after, 5, axis=1), np.delete(before, 5, axis=1))
  copy.edit("metadata", lambda table: table.assign(ViewPosition="AP"))
  assert len(copy.load().train) > len(before)


def test_unpacked_tables_are_the_same_set(copy, decoded):
  copy.load()
  count = len(decoded)
  copy.write("split", copy.text("split"), packed=False)
  copy.write("metadata", copy.text("metadata"), packed=True)
  copy.load()
  packed = copy.folder / "mimic-cxr-2.0.0-split.csv.gz"
  packed.write_bytes(gzip.compress(copy.text("split").encode(), 1))  # both, and they agree
  copy.load()
  assert len(decoded) == count
  packed.write_bytes(gzip.compress(b"dicom_id\n"))
  assert "mimic-cxr-2.0.0-split.csv and mimic-cxr-2.0.0-split.csv.gz differ" in refused(copy, "`mimic_dir` ")


def test_one_labeler_is_enough(copy, in_this_process):
  copy.file("chexpert").unlink()
  assert "has no mimic-cxr-2.0.0-chexpert.csv or .csv.gz" in refused(copy, f"`mimic_dir` {copy.folder}: ")
  assert len(copy.load(labeler="negbio", views="all").train) > 100


def test_a_split_that_views_leave_empty(copy, in_this_process):
  test = copy.table("split").query("split == 'test'")["dicom_id"]
  copy.edit("metadata", lambda table: table.assign(
    ViewPosition=np.where(table["dicom_id"].isin(test), "LL", table["ViewPosition"])
  ))  # fmt: skip
  assert "of the split test no image" in refused(copy, "`views` frontal: ")
  assert copy.load(views="LL,frontal")


def test_no_image_of_a_split_is_there(copy, in_this_process):
  for row in copy.table("split").query("split == 'validate'").itertuples():
    copy.jpeg(row).unlink(missing_ok=True)
  assert "images of the split validate is there (first: " in refused(copy, f"`mimic_dir` {copy.folder}: none of the ")


def test_more_than_memory_holds(copy, decoded, monkeypatch):
  needed = len(copy.table("split")) * 16**2
  memory = psutil.virtual_memory()
  monkeypatch.setattr(load.psutil, "virtual_memory", lambda: memory._replace(available=needed - 1))
  message = refused(copy, f"`dataset` mimic-cxr: {len(copy.table('split'))} images need ")
  assert "allowed: a smaller `image_size`, or fewer views" in message
  assert not decoded  # told before the work
  monkeypatch.undo()
  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks._cores", lambda: 1)
  copy.load()
  monkeypatch.setattr(load.psutil, "virtual_memory", lambda: memory._replace(available=1000))
  assert "for `views` PA at `image_size` 16" in refused(copy, "`dataset` mimic-cxr: ", views="PA")


@pytest.mark.parametrize("size", [0, 10, 1025])
def test_sizes(shared, size):
  refused(shared, f"`image_size` {size}: allowed for mimic-cxr: 11 to 1024 pixels", size=size)


def test_folders(shared, tmp_path):
  with pytest.raises(UserError, match=r"^`dataset` mimic-cxr: needs `mimic_dir` DIR, .* https://physionet\.org/"):
    load_dataset("mimic-cxr")
  with pytest.raises(UserError, match=r"^`mimic_dir` .*nowhere: there is no such folder; .* https://physionet\.org/"):
    load_dataset("mimic-cxr", mimic=Choices(tmp_path / "nowhere"))
  with pytest.raises(UserError, match=r"^`mimic_dir` .*: has no mimic-cxr-2\.0\.0-split\.csv or .*physionet"):
    load_dataset("mimic-cxr", mimic=Choices(tmp_path))
  with pytest.raises(UserError, match=r"^`data_dir` .*nowhere: there is no such folder"):
    load_dataset("mimic-cxr", mimic=Choices(shared.folder), data_dir=tmp_path / "nowhere")
  with pytest.raises(UserError, match=r"^`mimic_dir` .*: goes with `dataset` mimic-cxr only, not with .*phantom"):
    load_dataset("phantom", mimic=Choices(shared.folder))


def damage_records(folder):
  file = next(folder.rglob("*train.array_record*"))
  file.write_bytes(file.read_bytes()[:-3000])


def remove_list(folder):
  next(folder.rglob("missing_files.txt")).unlink()


def swap_splits(folder):
  """Records of other images, whole in themselves."""
  test, val = next(folder.rglob("*test.array_record*")), next(folder.rglob("*validation.array_record*"))
  shutil.copy(val, folder / "spare")
  shutil.copy(test, val)
  shutil.copy(folder / "spare", test)


@pytest.mark.parametrize("damage", [damage_records, remove_list, swap_splits])
def test_damaged_prepared_set(copy, in_this_process, damage):
  copy.load()
  damage(copy.cache)
  message = refused(copy, "`dataset` mimic-cxr: the prepared copy is damaged; remove ")
  assert str(copy.cache) in message


def test_ids_and_views_are_in_the_records(shared):
  """What the builder's features say, for who reads the set with TFDS."""
  source = open_builder(shared.cache, read_tables(shared.folder, "chexpert"), 16).as_data_source("validation")
  table = shared.table("split").merge(shared.table("metadata")[["dicom_id", "ViewPosition"]], on="dicom_id")
  table = table[table["split"] == "validate"]
  table = table[[shared.jpeg(row).exists() for row in table.itertuples()]]
  assert len(source) == len(table)
  names = ("subject_id", "study_id", "dicom_id", "view")
  found = pd.DataFrame([{name: record[name] for name in names} for record in source])
  assert found["subject_id"].tolist() == table["subject_id"].tolist()
  assert found["study_id"].tolist() == table["study_id"].tolist()
  assert [name.decode() for name in found["dicom_id"]] == table["dicom_id"].tolist()
  assert [view.decode() for view in found["view"]] == table["ViewPosition"].fillna("").tolist()
