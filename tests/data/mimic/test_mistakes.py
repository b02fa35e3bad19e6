"""Every mistake in a copy of the data ends in one line, here and on the command line."""

import re
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from lwlrd_jax.data.mimic.builder import open_builder
from lwlrd_jax.data.mimic.tables import read_tables
from lwlrd_jax.errors import UserError
from lwlrd_jax.sweep import main


def set_cell(column, value, row=3):
  def change(table):
    table.loc[row, column] = value
    return table

  return change


def twice(table):
  return pd.concat([table, table.iloc[[4]]])


def in_two_splits(table):
  """One patient's last image is moved to another split."""
  subject = table["subject_id"].value_counts().index[0]
  last = table.index[table["subject_id"] == subject][-1]
  table.loc[last, "split"] = "test" if table.loc[last, "split"] != "test" else "train"
  return table


def other_patients_study(table):
  table.loc[5, "study_id"] = "59999999"
  return table


TABLES = {
  "split column": ("split", lambda t: t.rename(columns={"split": "fold"}), "has no column split (found: dicom_id, "),
  "view column": ("metadata", lambda t: t.drop(columns="ViewPosition"), "has no column ViewPosition (found: "),
  "finding": ("chexpert", lambda t: t.drop(columns="Edema"), "has no column Edema (found: "),
  "the other labeler": ("negbio", lambda t: t.drop(columns="Edema"), "has no column Edema (found: "),
  "twice in split": ("split", twice, "has 1 rows twice (first: dicom_id "),
  "twice in metadata": ("metadata", twice, "has 1 rows twice (first: dicom_id "),
  "study twice": ("chexpert", twice, "has 1 rows twice (first: subject_id "),
  "split": ("split", set_cell("split", "valid"), "has the split 'valid'; allowed: train, validate, test"),
  "no such split": ("split", lambda t: t[t["split"] != "validate"], "has no image in validate"),
  "two splits": ("split", in_two_splits, "has 1 patients in more than one split (first: subject_id 1"),
  "dicom": ("split", set_cell("dicom_id", "../../etc/passwd"), "line 5: dicom_id is '../../etc/passwd'; allowed: five"),
  "subject": ("chexpert", set_cell("subject_id", "1000.0"), "line 5: subject_id is '1000.0'; allowed: 8 digits"),
  "study": ("metadata", set_cell("study_id", ""), "line 5: study_id is ''; allowed: 8 digits"),
  "label": ("chexpert", set_cell("Fracture", "2.0"), "has '2.0' in Fracture; allowed: 1.0, 0.0, -1.0 or nothing"),
  "text as label": ("negbio", set_cell("Edema", "yes"), "has 'yes' in Edema; allowed: "),
  "not in metadata": ("metadata", lambda t: t.iloc[3:], "does not have 3 images of the split file (first: "),
  "otherwise": ("metadata", other_patients_study, "has otherwise 1 images of the split file (first: "),
  "nothing": ("split", lambda t: t[[]].iloc[:0], "cannot be read ("),
}


def refused(copy):
  with pytest.raises(UserError) as caught:
    copy.load()
  message = str(caught.value)
  assert "\n" not in message
  return message


@pytest.mark.parametrize("case", TABLES)
def test_tables(copy, decoded, case):
  name, change, expected = TABLES[case]
  copy.edit(name, change)
  message = refused(copy)
  assert message.startswith(f"`mimic_dir` {copy.folder}: mimic-cxr-2.0.0-{name}.csv {expected}"), message
  assert "; allowed: " in message
  assert not decoded
  assert not list(copy.cache.iterdir())


@pytest.mark.parametrize("name", ["split", "metadata", "chexpert"])
def test_missing_table(copy, name):
  copy.file(name).unlink()
  assert refused(copy).startswith(f"`mimic_dir` {copy.folder}: has no mimic-cxr-2.0.0-{name}.csv or .csv.gz; allowed: ")


def test_unreadable_tables(copy):
  whole = copy.file("split").read_bytes()
  for content in (whole[:-20], b"no archive", whole[:40] + bytes(20) + whole[60:]):
    copy.file("split").write_bytes(content)
    assert re.match(
      r"`mimic_dir` .*: cannot read mimic-cxr-2\.0\.0-split\.csv\.gz \(.+\); fetch it again", refused(copy)
    )
  copy.write("split", "a,b\n", packed=False)
  (copy.folder / "mimic-cxr-2.0.0-split.csv").write_bytes(b"\xff\xfe\x00binary\n\x80")
  (copy.folder / "mimic-cxr-2.0.0-split.csv.gz").unlink(missing_ok=True)
  assert "mimic-cxr-2.0.0-split.csv " in refused(copy)


@pytest.mark.parametrize("name", ["p10", "p19"])
def test_missing_folder(copy, decoded, name):
  (copy.folder / "files" / name).rename(copy.folder / "elsewhere")
  message = refused(copy)
  assert message.startswith(f"`mimic_dir` {copy.folder}: no files/{name}; allowed: a copy with p10 to p19, or CSVs ")
  assert not decoded


def test_no_files_at_all(copy):
  (copy.folder / "files").rename(copy.folder / "images")
  assert ": no files/p10, p11, p12, " in refused(copy)


def first_jpeg(copy):
  return next(copy.jpeg(row) for row in copy.table("split").itertuples() if copy.jpeg(row).exists())


CONTENTS = {
  "cut off": lambda whole: whole[: len(whole) // 2],
  "a little cut off": lambda whole: whole[:-20],
  "no bytes": lambda whole: b"",
  "a pointer": lambda whole: b"/annex/objects/MD5E-s1--d41d8cd98f00b204e9800998ecf8427e.jpg\n",
}


@pytest.mark.parametrize("case", CONTENTS)
def test_damaged_jpeg(copy, in_this_process, case):
  file = first_jpeg(copy)
  whole = file.read_bytes()
  file.write_bytes(CONTENTS[case](whole))
  message = refused(copy)
  assert re.fullmatch(
    rf"`mimic_dir`: cannot read {file} \(.+\); fetch it again \(.+\), and start the same command .*", message
  )
  assert message.count(str(file)) == 1
  assert not list(copy.cache.rglob("*array_record*"))
  file.write_bytes(whole)
  copy.load()


def test_damaged_jpeg_in_a_worker_process(copy, monkeypatch):
  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks.CHUNK", 20)
  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks._cores", lambda: 2)
  file = first_jpeg(copy)
  file.write_bytes(file.read_bytes()[:100])
  assert refused(copy).startswith(f"`mimic_dir`: cannot read {file} (")


def test_no_room(copy, in_this_process, monkeypatch):
  def full(*args, **kwargs):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr("lwlrd_jax.data.mimic.chunks.np.savez", full)
  message = refused(copy)
  assert message.startswith(f"`dataset` mimic-cxr: cannot prepare it in {copy.cache} (")
  assert message.endswith("No space left on device); make room there")
  assert not list(copy.cache.rglob("*.part"))


def test_another_process_at_it(copy, in_this_process):
  unfinished = open_builder(copy.cache, read_tables(copy.folder, "chexpert"), 16).unfinished
  unfinished.mkdir(parents=True)
  code = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True)"
  other = subprocess.Popen(
    [sys.executable, "-c", f"{code}; input()", str(unfinished / "lock")],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert other.stdout is not None
  assert other.stdout.readline() == "held\n"
  assert refused(copy).startswith(f"`dataset` mimic-cxr: another process is preparing it in {unfinished}; start again")
  other.communicate("\n")
  copy.load()


def test_grey_in_colour_is_read(copy, in_this_process):
  file = first_jpeg(copy)
  Image.open(file).convert("RGB").save(file)
  copy.load(views="all")


def said_by_sweep(capsys, tmp_path, *arguments):
  capsys.readouterr()
  assert main([*arguments, "--out", str(tmp_path / "never")]) == 2
  assert not (tmp_path / "never").exists()
  (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
  return line.removeprefix("error: ")


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--dataset", "mimic-cxr"], "--dataset mimic-cxr: needs --mimic-dir DIR"),
    (["--dataset", "mimic-cxr", "--mimic-dir", "nowhere"], "--mimic-dir nowhere: there is no such folder"),
    (["--dataset", "mimic-cxr", "--views", "AP,,PA"], "--views 'AP,,PA': allowed: all, or a comma list"),
    (["--dataset", "mimic-cxr", "--uncertain", "drop"], "--uncertain drop: not known; allowed: ignore, zeros, ones"),
    (["--dataset", "mimic-cxr", "--labeler", "me"], "--labeler me: not known; allowed: chexpert, negbio"),
    (["--views", "PA"], "--views PA: goes with --dataset mimic-cxr only, not with --dataset phantom"),
    (["--uncertain", "ones"], "--uncertain ones: goes with --dataset mimic-cxr only"),
    (["--labeler", "negbio"], "--labeler negbio: goes with --dataset mimic-cxr only"),
    (["--mimic-dir", "somewhere"], "--mimic-dir somewhere: goes with --dataset mimic-cxr only"),
  ],
)
def test_flags(capsys, tmp_path, arguments, said):
  assert said_by_sweep(capsys, tmp_path, *arguments).startswith(said)


def test_files_on_the_command_line(capsys, tmp_path, copy, in_this_process):
  command = ("--dataset", "mimic-cxr", "--mimic-dir", str(copy.folder), "--data-dir", str(copy.cache))
  said = said_by_sweep(capsys, tmp_path, *command, "--views", "SIDE")
  assert said.startswith("--views SIDE: no image has the ViewPosition SIDE; allowed: frontal, all, AP, ")
  file = first_jpeg(copy)
  file.write_bytes(file.read_bytes()[:200])
  assert said_by_sweep(capsys, tmp_path, *command).startswith(f"--mimic-dir: cannot read {file} (")
  copy.edit("split", twice)
  assert "has 1 rows twice" in said_by_sweep(capsys, tmp_path, *command)
