"""Claim: grey values mean the same at every depth, and no odd pixel changes what a picture looks like."""

import struct
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, TiffImagePlugin

import lcmem
from commands import lcmem as run_lcmem
from lcmem.errors import LCMemWarning, PictureError
from lcmem.pictures import set_depth
from lcmem.pictures.content import content_table
from lcmem.pictures.image import load_levels, load_picture
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.set_depth import alike, same_depth


def ramp(top: int) -> np.ndarray:
    return np.linspace(0, top, 40 * 32).reshape(32, 40).astype(np.uint16)


def save(path, levels, **tags):
    """16-bit PNG, or TIFF with tags by number."""
    if path.suffix == ".tif":
        info = TiffImagePlugin.ImageFileDirectory_v2()
        for number, value in tags.items():
            info[int(number[1:])] = value
        Image.fromarray(levels).save(path, tiffinfo=info)
    else:
        Image.fromarray(levels).save(path)
    return path


def insert_chunk(path, kind: bytes, content: bytes):
    """Put a chunk behind the header of a PNG file."""
    data = path.read_bytes()
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data[:33] + chunk + data[33:])


def read(root):
    with warnings.catch_warnings(record=True, action="always", category=LCMemWarning) as remarks:
        manifest = Manifest.read(root)
    return manifest, [str(remark.message) for remark in remarks]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("top", [4095, 4096])
def test_one_pixel_does_not_change_a_picture(tmp_path, suffix, top):
    levels = np.minimum(ramp(top), 4095)
    save(tmp_path / f"a.{suffix}", levels)
    levels[-1, -1] = top
    save(tmp_path / f"b.{suffix}", levels)
    first, second = (load_picture(tmp_path / f"{name}.{suffix}") for name in "ab")
    np.testing.assert_allclose(first, second, atol=1e-4)
    np.testing.assert_array_equal(load_picture(levels), second)


def test_a_set_of_twelve_bits_is_known_by_its_values(tmp_path):
    for number in range(40):
        levels = ramp(4095 if number % 2 else 1500)  # dim ones are scaled as the others
        levels[0, 0] = 60000 if number == 7 else 0  # a dead pixel
        save(tmp_path / f"{number:02}.png", levels)
    Image.fromarray(ramp(255).astype(np.uint8)).save(tmp_path / "eight.png")
    manifest, said = read(tmp_path)
    assert manifest.paths[1] == f"{tmp_path}/01.png#bits=12" and manifest.paths[-1] == f"{tmp_path}/eight.png"
    assert "taken for 12 bits" in said[0] and "00.png" in said[0] and len(said) == 1
    np.testing.assert_allclose(load_picture(manifest.paths[1])[0], ramp(4095) / 4095, atol=1e-6)
    np.testing.assert_allclose(load_picture(manifest.paths[0])[0], ramp(1500) / 4095, atol=1e-6)
    assert load_picture(manifest.paths[7])[0, 0, 0] == 1


def test_the_depth_stays_with_the_picture(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png", ramp(4095 - number))
    manifest, _ = read(tmp_path)
    manifest.write(tmp_path / "m.csv")
    again, said = read(tmp_path / "m.csv")
    assert again.paths == manifest.paths and said == []
    keys = content_table([manifest.paths[0], f"{tmp_path}/0.png"], {})["sha256"]
    assert keys[0] == keys[1] + "#bits=12", "features of another depth are other features"


def test_a_set_of_sixteen_bits_is_left_alone(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png", ramp(65535))
    manifest, said = read(tmp_path)
    assert manifest.paths == [f"{tmp_path}/{number}.png" for number in range(3)] and said == []


def test_a_table_may_name_the_depth(tmp_path):
    save(tmp_path / "a.png", ramp(900))
    pd.DataFrame({"path": ["a.png#bits=10"]}).to_csv(tmp_path / "m.csv", index=False)
    manifest, said = read(tmp_path / "m.csv")
    assert said == []
    np.testing.assert_allclose(load_picture(manifest.paths[0])[0], ramp(900) / 1023, atol=1e-6)


def test_an_eight_bit_twin_looks_like_its_original(tmp_path):
    for top, shift in ((65535, 8), (4095, 4)):
        levels = ramp(top)
        folder = tmp_path / str(top)
        folder.mkdir()
        save(folder / "a.png", levels)
        Image.fromarray((levels >> shift).astype(np.uint8)).save(folder / "twin.png")
        original, twin = read(folder)[0].paths
        assert np.abs(load_levels(original, 32).astype(int) - load_levels(twin, 32)).max() <= 1


def test_declared_values_come_first(tmp_path):
    tiff = save(tmp_path / "a.tif", ramp(900), t340=100, t341=900)
    np.testing.assert_allclose(load_picture(tiff)[0], np.clip((ramp(900) - 100.0) / 800, 0, 1), atol=1e-6)
    raw, spread = save(tmp_path / "raw.png", ramp(4095)), save(tmp_path / "spread.png", ramp(4095) * 16)
    for path in (raw, spread):
        insert_chunk(path, b"sBIT", b"\x0c")
    np.testing.assert_allclose(load_picture(raw)[0], ramp(4095) / 4095, atol=1e-6)
    np.testing.assert_allclose(load_picture(spread)[0], ramp(4095) / 4095, atol=1e-3)
    pgm = tmp_path / "a.pgm"
    pgm.write_bytes(b"P5 40 32 4095\n" + ramp(4095).astype(">u2").tobytes())
    np.testing.assert_allclose(load_picture(pgm)[0], ramp(4095) / 4095, atol=1e-4)
    assert not any("#bits" in path for path in read(tmp_path)[0].paths)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_declared_values_make_wide_ones_readable(tmp_path, dtype):
    path = save(tmp_path / "a.tif", ramp(4000).astype(dtype) * 30, t340=0.0, t341=120_000.0)
    np.testing.assert_allclose(load_picture(path)[0], ramp(4000) / 4000, atol=1e-5)


def test_white_may_be_zero(tmp_path):
    path = save(tmp_path / "a.tif", ramp(65535), t262=0)
    np.testing.assert_allclose(load_picture(path)[0], 1 - ramp(65535) / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "message"), [("signed", "signed values of 8 bits"), ("planes", "separate planes of 16 bits")]
)
def test_tiff_that_is_opened_as_something_else_is_refused(tmp_path, kind, message):
    """Pillow takes the one for unsigned and the others for bytes, and nothing but noise is seen."""
    if kind == "signed":
        path = save(tmp_path / "a.tif", np.arange(400, dtype=np.uint8).reshape(20, 20), t339=2)
    else:
        path = tmp_path / "a.tif"
        path.write_bytes(planar_tiff(np.arange(3 * 400, dtype="<u2").reshape(3, 20, 20)))
    with pytest.raises(PictureError, match=message):
        load_picture(path)
    if kind == "planes":
        with pytest.raises(PictureError, match=message):
            load_picture(Image.open(path))


def planar_tiff(planes):
    """A TIFF of three planes of 16 bits one after the other, nothing packed."""
    _, height, width = planes.shape
    size, data = 2 * height * width, 8
    after = data + 3 * size
    lists = struct.pack("<3H3I3I", 16, 16, 16, *(data + k * size for k in range(3)), size, size, size)
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 3, after),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 3, after + 6),
        (277, 3, 1, 3),
        (278, 3, 1, height),
        (279, 4, 3, after + 18),
        (284, 3, 1, 2),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *each) for each in entries)
    return b"II*\0" + struct.pack("<I", after + len(lists)) + planes.tobytes() + lists + directory + bytes(4)


@pytest.mark.parametrize("tags", [{"t262": 0}, {"t281": 4095}])
def test_an_opened_file_keeps_what_it_declares(tmp_path, tags):
    path = save(tmp_path / "a.tif", ramp(4095), **tags)
    for size in (None, 16):
        np.testing.assert_array_equal(load_picture(Image.open(path), size), load_picture(path, size))


def test_a_transparent_grey_is_paper(tmp_path):
    levels = ramp(65535)
    path = save(tmp_path / "a.png", levels)
    insert_chunk(path, b"tRNS", struct.pack(">H", levels[3, 4]))
    planes = load_picture(path)
    assert planes[0, 3, 4] == 1 and planes[0, 3, 5] == pytest.approx(levels[3, 5] / 65535, abs=1e-6)


def save_set(folder, *pictures):
    folder.mkdir()
    for number, levels in enumerate(pictures):
        save(folder / f"{number}.png", levels)
    return folder


def read_sets(**folders):
    """Manifests of one job as it scales them, what was said, and the pictures of each."""
    with warnings.catch_warnings(record=True, action="always", category=LCMemWarning) as remarks:
        sets = same_depth({name: Manifest.read(folder) for name, folder in folders.items()})
    pictures = {name: np.stack([load_picture(path) for path in found.paths]) for name, found in sets.items()}
    return sets, " ".join(str(remark.message) for remark in remarks), pictures


@pytest.mark.parametrize(("top", "shift"), [(65535, 8), (12000, 8), (3000, 8), (4095, 4), (900, 4)])
def test_a_set_looks_like_its_eight_bit_twins(tmp_path, top, shift):
    """Dim ones too: alone, 3000 of 65535 would be taken for 12 bits."""
    levels = [ramp(top), ramp(top)[::-1], ramp(top).T.copy()[:32]]
    real = save_set(tmp_path / "real", *levels[:2])
    twins = save_set(tmp_path / "twins", *[(each >> shift).astype(np.uint8) for each in levels[:2]])
    _, _, pictures = read_sets(real=real, synthetic=twins)
    assert np.abs(pictures["real"] - pictures["synthetic"]).max() <= 1 / 200


def test_sets_of_one_job_are_scaled_alike(tmp_path):
    """Dim synthetic pictures of a 12-bit set would be taken for 10 bits, and look four times as bright."""
    bright, dim = [ramp(4095), ramp(3000)], [ramp(900), ramp(700)]
    sets, said, pictures = read_sets(
        real=save_set(tmp_path / "real", *bright), synthetic=save_set(tmp_path / "synthetic", *dim)
    )
    assert [found.guessed for found in sets.values()] == [12, 12]
    assert "synthetic: its 16-bit files" in said and "read as 12 bits and not as 10" in said
    np.testing.assert_allclose(pictures["synthetic"][0, 0], ramp(900) / 4095, atol=1e-6)


@pytest.mark.parametrize("odd", [4095, 4096, 65535])
def test_one_pixel_of_one_set_changes_nothing(tmp_path, odd):
    levels = ramp(4095)
    other = levels.copy()
    other[-1, -1] = odd
    _, _, pictures = read_sets(real=save_set(tmp_path / "real", levels), synthetic=save_set(tmp_path / "s", other))
    np.testing.assert_array_equal(pictures["real"], pictures["synthetic"])


def test_a_copy_that_is_spread_over_all_bits_looks_the_same(tmp_path):
    levels = [ramp(4095), ramp(2500)]
    spread = save_set(tmp_path / "spread", *[each * 16 for each in levels])
    _, _, pictures = read_sets(real=save_set(tmp_path / "real", *levels), synthetic=spread)
    np.testing.assert_allclose(pictures["real"], pictures["synthetic"], atol=1e-3)


def test_single_pictures_are_scaled_like_the_set_that_they_are_compared_with(tmp_path):
    manifest, _ = read(save_set(tmp_path / "real", ramp(4095), ramp(2500)))
    dim = save(tmp_path / "dim.png", ramp(700))
    assert alike([str(dim)], manifest) == [f"{dim}#bits=12"]
    with pytest.warns(LCMemWarning, match="10 bits"):
        assert alike([str(dim)]) == [f"{dim}#bits=10"]


def test_a_filter_reads_samples_as_deep_as_its_real_pictures(tmp_path, rng, faces, weights):
    """Files of the real set are copies of it, whether it is given as a folder or as a list."""
    (tmp_path / "real").mkdir()
    for number in range(6):
        levels = np.asarray(Image.open(faces / f"s{number + 1}" / "1.pgm")).astype(np.uint16) * 16
        Image.fromarray(levels + rng.integers(0, 16, levels.shape, np.uint16)).save(tmp_path / f"real/{number}.png")
    files = sorted(map(str, (tmp_path / "real").iterdir()))
    with pytest.warns(LCMemWarning, match="taken for 12 bits"):
        filters = [lcmem.PrivacyFilter(weights, real, threshold=0.9999) for real in (tmp_path / "real", files)]
    itself = float(filters[0].detector.bias)
    for made in filters:
        found = made([*files, np.zeros((32, 32, 3), np.uint8)]).table
        assert found["logit"][:6].to_numpy() == pytest.approx(itself) and (found["verdict"][:6] != "no match").all()
        assert list(made(files[:2], against=files[:2]).table["real"]) == [f"{file}#bits=12" for file in files[:2]]
        assert made.pictures(files)[0].max() > 200


def test_each_sampled_file_is_opened_once_and_again_when_it_changed(tmp_path, monkeypatch):
    opened, original = [], set_depth._values
    monkeypatch.setattr(set_depth, "_values", lambda path, **options: opened.append(path) or original(path, **options))
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    for top, folder in ((4095, "a"), (1023, "b")):
        save(tmp_path / folder / "1.png", ramp(top))
    with pytest.warns(LCMemWarning):
        sets = {name: Manifest.read(tmp_path / name) for name in "ab"}
        same_depth(sets)
    assert len(opened) == 2, "not once alone and once beside the other set"
    save(tmp_path / "a" / "1.png", ramp(65535)[:20])
    assert Manifest.read(tmp_path / "a").guessed == 16 and len(opened) == 3


@pytest.mark.parametrize("count", [1, 31, 32, 33, 63, 95, 1000])
def test_a_sample_is_spread_over_the_whole_list(monkeypatch, count):
    looked = []
    monkeypatch.setattr(
        set_depth, "_look", lambda some, stamps: looked.extend(some) or set_depth.Sample([], [], [], 0, 0)
    )
    paths = [f"{number}.png" for number in range(count)]
    set_depth.Sample.of(paths)
    assert len(looked) == min(count, set_depth.SAMPLE) and {looked[0], looked[-1]} == {paths[0], paths[-1]}
    assert np.diff([paths.index(path) for path in looked]).max(initial=0) <= count / 31 + 1


@pytest.mark.filterwarnings("ignore::lcmem.errors.LCMemWarning")
def test_pages_of_one_deep_file_are_audited_and_kept(tmp_path, rng):
    """Their names in a store are the longest that there are."""
    pages = [Image.fromarray(rng.integers(0, 4096, (40, 32)).astype(np.uint16)) for _ in range(6)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    for name, some in (("real", range(5)), ("synthetic", (0, 5))):
        paths = [f"stack.tif#slice={page}" for page in some]
        pd.DataFrame({"path": paths}).to_csv(tmp_path / f"{name}.csv", index=False)
    audited = lcmem.audit(tmp_path / "real.csv", tmp_path / "synthetic.csv", out=tmp_path / "audit", workers=0)
    assert audited.memorization.count == 1 and not len(audited.skipped)
    assert audited.memorization.effective == pytest.approx(1), "pages of one file are no independent pictures"


def test_a_picture_that_is_spelt_with_its_depth_and_without_is_one(tmp_path, faces, weights):
    for name, top in (("a.png", 4000), ("b.png", 3000)):
        save(tmp_path / name, ramp(top))
    (tmp_path / "m.csv").write_text("path,identity\na.png,ann\na.png#bits=12,ann\nb.png,bob\n")
    with pytest.warns(LCMemWarning, match="1 rows list a picture again"):
        found = Manifest.read(tmp_path / "m.csv", show_ids=True)
    assert found.paths == [f"{tmp_path}/{name}#bits=12" for name in ("a.png", "b.png")]
    (tmp_path / "pairs.csv").write_text("path_a,path_b\na.png,b.png\nb.png,a.png#bits=12\n")
    done = run_lcmem("score", "pairs.csv", "--model", weights, "--workers", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scored = pd.read_csv(tmp_path / "pairs.scored.csv")["logit"]
    assert scored[0] == pytest.approx(scored[1]), "the same two"


def test_a_folder_whose_name_ends_like_a_depth_is_a_folder(tmp_path):
    for name in ("ann", "a#bits=12"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(ramp(255).astype(np.uint8)).save(tmp_path / "set" / name / "1.png")
    assert sorted(Manifest.read(tmp_path / "set").identities) == ["a#bits=12", "ann"], "kept, since nothing is medical"
