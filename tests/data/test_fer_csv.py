"""FER2013's CSV against a plain reader, whatever its header and line ends; and its mistakes, by line."""

import csv
import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.data.fer_csv import USAGES, parse
from tests.helpers.properties import max_examples

HEADERS = ("emotion,pixels,Usage", "emotion, Usage, pixels", '"emotion","pixels","Usage"', "id,Usage,emotion,pixels")


def as_csv(rows, header=HEADERS[0], end="\n", final=True, quote="") -> bytes:
    """Rows of (emotion, pixels, usage) as text."""
    columns = [c.strip().strip('"').lower() for c in header.split(",")]
    lines = [header]
    for i, (emotion, pixels, usage) in enumerate(rows):
        field = {"emotion": emotion, "usage": usage, "id": i, "pixels": quote + " ".join(map(str, pixels)) + quote}
        lines.append(",".join(str(field[c]) for c in columns))
    return (end.join(lines) + (end if final else "")).encode()


def plain_reader(data: bytes):
    """What a textbook would do."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    names = [n.strip().lower() for n in next(reader)]
    rows = [dict(zip(names, row, strict=True)) for row in reader]
    images = np.array([[int(v) for v in r["pixels"].split()] for r in rows], np.uint8)
    return images, [int(r["emotion"]) for r in rows], [USAGES.index(r["usage"]) for r in rows]


@max_examples(80)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.integers(0, 255), min_size=4, max_size=4), st.sampled_from(USAGES)),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(HEADERS),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(["", '"']),
)
def test_parser_agrees_with_a_plain_reader(tmp_path_factory, rows, header, end, final, quote):
    path = tmp_path_factory.getbasetemp() / "random.csv"
    data = as_csv(rows, header, end, final, quote)
    path.write_bytes(data)
    table = parse(path, side=2)
    images, emotions, usage = plain_reader(data)
    assert table.images.dtype == np.uint8
    assert np.array_equal(table.images.reshape(-1, 4), images)
    assert table.emotions.tolist() == emotions
    assert table.usage.tolist() == usage
    assert table.has_usage


def test_a_byte_order_mark_and_a_missing_last_line_end_are_harmless(tmp_path):
    path = tmp_path / "fer2013.csv"
    data = as_csv([(3, [0, 7, 42, 255], "Training"), (6, [199, 200, 9, 10], "PublicTest")], end="\r\n", final=False)
    path.write_bytes(b"\xef\xbb\xbf" + data)
    assert parse(path, side=2).images.reshape(-1, 4).tolist() == [[0, 7, 42, 255], [199, 200, 9, 10]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("number", ["{}", "{}.0", "{}.00"])
def test_what_spreadsheets_and_pandas_make_of_it(tmp_path, end, encoding, separator, number):
    rows = [(3, [0, 7, 42, 255], "Training"), (6, [199, 200, 9, 10], "PublicTest")]
    plain, path = tmp_path / "plain.csv", tmp_path / "fer2013.csv"
    plain.write_bytes(as_csv(rows))
    lines = [["Unnamed: 0", "emotion", "pixels", "Usage"]]
    lines += [[str(i), number.format(e), " ".join(map(number.format, p)), u] for i, (e, p, u) in enumerate(rows)]
    path.write_bytes((end.join(separator.join(line) for line in lines) + end).encode(encoding))
    got, expected = parse(path, side=2), parse(plain, side=2)
    np.testing.assert_array_equal(got.images, expected.images)
    assert got.emotions.tolist() == expected.emotions.tolist()
    assert got.usage.tolist() == expected.usage.tolist()


@pytest.mark.parametrize("value", ["3.5", "nan", "1e0", "-1.0", "."])
def test_a_number_that_is_not_whole_is_refused(tmp_path, value):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(as_csv([(value, [0, 7, 42, 255], "Training")]))
    with pytest.raises(UserError, match="must be a number from 0 to 6"):
        parse(path, side=2)


def test_spaces_leading_zeros_and_empty_lines_are_harmless(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(b"emotion,pixels,Usage\n\n 3 ,  1 02  003 255 , training\n\r\n6,0 0 0 0,PrivateTest\n\n")
    table = parse(path, side=2)
    assert table.images.reshape(-1, 4).tolist() == [[1, 2, 3, 255], [0, 0, 0, 0]]
    assert table.usage.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3,1 2 3,Training", "line 4: 3 pixels, expected 4 (2x2)"),
        ("3,1 2 3 4 5,Training", "line 4: 5 pixels, expected 4 (2x2)"),
        ("3,,Training", "line 4: 0 pixels"),
        ("3,1 2 3 256,Training", "line 4: pixel value '256' is not a whole number from 0 to 255"),
        ("3,1 2 3 1000,Training", "line 4: pixel value '1000'"),
        ("3,1 2 3 0007,Training", "line 4: pixel value '0007'"),
        ("3,1 -2 3 4,Training", "line 4: pixel value '-2'"),
        ("3,1 +2 3 4,Training", "line 4: pixel value '+2'"),
        ("3,1 0255 3 4,Training", "line 4: pixel value '0255'"),
        ("3,1 2.5 3 4,Training", "line 4: pixel value '2.5'"),
        ("3,1 nan 3 4,Training", "line 4: pixel value 'nan'"),
        ("3,1 2\x1b[31m 3 4,Training", "line 4: pixel value '2?[31m'"),
        ("7,1 2 3 4,Training", "line 4: emotion is '7', must be a number from 0 to 6"),
        ("-1,1 2 3 4,Training", "line 4: emotion is '-1'"),
        ("happy,1 2 3 4,Training", "line 4: emotion is 'happy'"),
        ("3,1 2 3 4,PublicTst", "line 4: Usage is 'PublicTst', must be one of Training, PublicTest, PrivateTest"),
        ("3,1 2 3 4", "line 4: 2 columns, the header has 3"),
        ("3,1 2 3 4,Training,", "line 4: 4 columns, the header has 3"),
    ],
)
def test_errors_name_file_and_line(tmp_path, line, message):
    path = tmp_path / "fer2013.csv"
    path.write_text(f"emotion,pixels,Usage\n0,1 2 3 4,Training\n\n{line}\n9,9 9 9 9,Wrong\n")
    with pytest.raises(UserError) as caught:
        parse(path, side=2)
    assert str(caught.value).startswith(f"{path}, {message}")


def test_a_pixel_too_few_is_not_made_up_for_by_the_next_line(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n0,1 2 3,Training\n0,1 2 3 4 5,Training\n")
    with pytest.raises(UserError, match="line 2: 3 pixels"):
        parse(path, side=2)


@max_examples(40)
@given(st.integers(22, 200))
def test_a_file_cut_off_anywhere_is_read_up_to_a_line_or_refused(tmp_path_factory, length):
    rows = [(i % 7, [i, 2 * i, 100 + i, 255], USAGES[i % 3]) for i in range(7)]
    data = as_csv(rows)[:length]
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    path.write_bytes(data)
    whole = [r for i, r in enumerate(rows) if len(as_csv(rows[: i + 1], final=False)) <= length]
    if whole and data in (as_csv(rows[: len(whole)]), as_csv(rows[: len(whole)], final=False)):
        assert parse(path, side=2).emotions.tolist() == [r[0] for r in whole]
        return
    cut = f"line {len(whole) + 2}: .*ends in the middle of this line"
    with pytest.raises(UserError, match="no rows" if data in (as_csv([]), as_csv([], final=False)) else cut):
        parse(path, side=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"emotion,pixels,Usage\n", "a header and no rows"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 301072766\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "a web page"),
        (b"\x1f\x8b\x08\x00rest", "compressed archive"),
        (b"PK\x03\x04rest", "compressed archive"),
        (b"0,1 2 3 4,Training\n", "line 1: expected the columns emotion, pixels and Usage, found '0,1 2 3 4"),
        (b"pixels\n1 2 3 4\n", "line 1: expected the columns"),
        (b"emotion|pixels|Usage\n0|1 2 3 4|Training\n", "found 'emotion|pixels|Usage'"),
        (b"emotion,pixels,Usage,usage\n", "two columns are called Usage"),
        (bytes(range(256)) * 20, "line 1: expected the columns"),
    ],
)
def test_what_is_no_csv_is_said(tmp_path, content, message):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        parse(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_an_endless_line_is_refused_before_it_fills_memory(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(b"emotion,pixels,Usage\n" + b"1 " * (3 << 20))
    with pytest.raises(UserError, match="line 2: longer than 1 MB"):
        parse(path)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "fer2013.csv"
    path.write_bytes(as_csv([(i % 7, rng.integers(0, 256, 48 * 48), "Training") for i in range(600)]))
    tracemalloc.start()
    parse(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pictures = 600 * 48 * 48
    assert path.stat().st_size > 3 * pictures
    assert peak < 2 * pictures + (4 << 20)  # parts and their concatenation, and one chunk's arrays
