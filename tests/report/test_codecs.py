import pandas as pd
import pytest

from lwlrd_jax.report.codecs import compare


def rows(**curves):
  found = [(codec, size, psnr) for codec, points in curves.items() for size, psnr in points]
  return pd.DataFrame(found, columns=["codec", "bytes_per_image", "psnr"])


def test_differences_over_the_range_in_common():
  text = compare(rows(learned=[(50, 25.0), (200, 29.0)], webp=[(100, 24.0), (400, 28.0)]))
  # At 100 bytes 27 against 24; at 200 29 against 26: halfway on the logarithm.
  assert text.startswith("At equal bytes the learned codec is 3.0 dB better than WebP (100 to 200 bytes).")
  assert "interpolated" in text


@pytest.mark.parametrize(
  ("standard", "expected"),
  [
    ([(50, 30.0), (200, 31.0)], "2.0 to 5.0 dB worse than JPEG (50 to 200 bytes)"),
    ([(50, 26.0), (200, 26.0)], "between 1.0 dB worse and 3.0 dB better than JPEG (50 to 200 bytes)"),
    ([(500, 26.0)], "not comparable with JPEG (no size in common: 50 to 200 bytes against 500)"),
    ([(200, 27.0)], "2.0 dB better than JPEG (200 bytes)"),
  ],
)
def test_worse_mixed_and_incomparable(standard, expected):
  assert expected in compare(rows(learned=[(50, 25.0), (200, 29.0)], jpeg=standard))


def test_each_learned_code_has_its_sentence(make):
  text = compare(pd.DataFrame(make.codecs()))
  assert "the learned codec (entropy-coded) is 5.2 to 6.0 dB better than WebP (100 to 640 bytes)" in text
  assert "the learned codec (fixed length) is" in text
  assert "png" not in text.lower()


@pytest.mark.parametrize(
  "table", [rows(), rows(png=[(900, 60.0)]), rows(learned=[(50, 25.0)]), rows(webp=[(50, 25.0)])]
)
def test_nothing_to_compare(table):
  assert compare(table) == ""
