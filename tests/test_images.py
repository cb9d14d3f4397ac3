"""Claim: every usual kind of picture becomes float RGB in [0, 1], and everything else a clear error."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from lcmem.errors import LCMemError, PictureError
from lcmem.pictures.image import load_levels, load_picture
from lcmem.pictures.paths import read_bytes, split_slice


def ramp(dtype=np.uint8) -> np.ndarray:
    return np.linspace(0, np.iinfo(dtype).max, 32 * 24).reshape(24, 32).astype(dtype)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "pgm"])
def test_lossless_grey_keeps_every_value(tmp_path, suffix):
    Image.fromarray(ramp()).save(tmp_path / f"a.{suffix}")
    planes = load_picture(tmp_path / f"a.{suffix}")
    assert planes.shape == (3, 24, 32) and planes.dtype == np.float32
    for plane in planes:
        np.testing.assert_allclose(plane, ramp() / 255, atol=1e-7)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_stay_close(tmp_path, suffix):
    Image.fromarray(np.stack([ramp()] * 3, -1)).save(tmp_path / f"a.{suffix}", quality=95)
    assert np.abs(load_picture(tmp_path / f"a.{suffix}")[0] - ramp() / 255).mean() < 0.01


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_divided_by_65535(tmp_path, suffix):
    Image.fromarray(ramp(np.uint16)).save(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(load_picture(tmp_path / f"a.{suffix}")[1], ramp(np.uint16) / 65535, atol=1e-6)


def test_palette_and_alpha(tmp_path):
    Image.new("RGB", (20, 20), (255, 0, 0)).convert("P").save(tmp_path / "palette.png")
    Image.new("RGBA", (20, 20), (0, 0, 255, 0)).save(tmp_path / "clear.png")
    assert load_picture(tmp_path / "palette.png")[:, 0, 0].tolist() == [1, 0, 0]
    assert load_picture(tmp_path / "clear.png")[:, 0, 0].tolist() == [1, 1, 1], "transparent means white paper"


def test_exif_rotation_is_applied(tmp_path):
    picture = Image.fromarray(np.stack([ramp()] * 3, -1))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° clockwise to view
    picture.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_allclose(load_picture(tmp_path / "a.png")[0], np.rot90(ramp(), -1) / 255, atol=1e-7)


def test_size_squeezes_the_whole_picture(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    planes = load_picture(tmp_path / "a.png", 64)
    assert planes.shape == (3, 64, 64)
    assert planes[0, 0, 0] < 0.05 and planes[0, -1, -1] > 0.95, "both corners are still there"


def stripes(width: int, height: int) -> Image.Image:
    """Coloured waves a few pixels wide at 256 × 256: a shift by a third of a pixel changes them by dozens of levels."""
    y, x = np.mgrid[:height, :width] * np.array([256 / height, 256 / width])[:, None, None]
    waves = [np.sin(x), np.sin(y / 2), np.sin((x + y) / 4)]
    return Image.fromarray((127.5 + 100 * np.stack(waves, -1)).astype(np.uint8))


def deviation(path, size: int = 256) -> np.ndarray:
    """Levels between what is loaded and the whole picture through Pillow's bicubic filter in floats."""
    with Image.open(path) as picture:
        planes = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)
    exact = [Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC) for plane in planes]
    return np.abs(load_levels(path, size).astype(float) - np.clip(np.stack(exact), 0, 255))


@pytest.mark.parametrize("sides", [(60, 90), (511, 511), (2000, 400)])
def test_resizing_is_exact_below_twice_the_size(tmp_path, sides):
    """Full contrast, because an overshoot that is cut off between rows and columns shows there."""
    noise = np.random.default_rng(0).integers(0, 2, (sides[1], sides[0], 3), dtype=np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=95)
    assert deviation(tmp_path / "a.jpg").max() < 0.501


@pytest.mark.parametrize("sides", [(512, 512), (1023, 700), (2049, 1031), (4097, 515)])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_reduced_decoding_shows_the_same_picture(tmp_path, sides, suffix):
    stripes(*sides).save(tmp_path / f"a.{suffix}", quality=92, compress_level=1)
    levels = deviation(tmp_path / f"a.{suffix}")
    assert levels.mean() < 0.7 and levels.max() < 4


@pytest.mark.parametrize(("side", "decoded"), [(511, []), (512, [512]), (1023, [1023]), (1024, [512]), (2049, [513])])
def test_reduced_decoding_leaves_twice_the_size(tmp_path, monkeypatch, side, decoded):
    found, draft = [], JpegImageFile.draft

    def spy(picture, *arguments):
        result = draft(picture, *arguments)
        found.append(picture.width)
        return result

    monkeypatch.setattr(JpegImageFile, "draft", spy)
    stripes(side, side).save(tmp_path / "a.jpg")
    load_levels(tmp_path / "a.jpg", 256)
    assert found == decoded


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_large_pictures_are_rotated_too(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    lossless = {"quality": 95} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    stripes(300, 203).save(tmp_path / f"turned.{suffix}", exif=exif, **lossless)
    stripes(300, 203).transpose(Image.Transpose.ROTATE_270).save(tmp_path / f"upright.{suffix}", **lossless)
    turned, upright = (load_picture(tmp_path / f"{name}.{suffix}", 64) for name in ("turned", "upright"))
    np.testing.assert_allclose(turned, upright, atol=8 / 255)


@pytest.mark.parametrize(("mode", "suffix"), [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("LA", "png"), ("1", "png")])
def test_large_pictures_of_every_kind(tmp_path, mode, suffix):
    stripes(150, 150).convert(mode).save(tmp_path / f"a.{suffix}")
    assert deviation(tmp_path / f"a.{suffix}", 48).max() < 4


def test_sixteen_bits_stay_fine_when_resized(tmp_path):
    dark = np.linspace(0, 300, 200 * 200).reshape(200, 200).astype(np.uint16)
    dark[0, 0] = 65535
    Image.fromarray(dark).save(tmp_path / "a.png")
    planes = load_picture(tmp_path / "a.png", 32)
    assert planes[0, 1:].max() < 2 / 255 and len(np.unique(planes[0])) > 500, "not two levels, as in 8 bits"


def test_a_picture_that_was_given_stays_as_it_is(tmp_path):
    stripes(600, 600).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as picture:
        load_picture(picture, 32)
        assert picture.size == (600, 600)


def test_read_only_arrays_and_shapes(rng):
    levels = rng.integers(0, 256, (20, 30, 1), dtype=np.uint8)
    np.testing.assert_array_equal(load_levels(levels), np.broadcast_to(levels[..., 0], (3, 20, 30)))
    planes = rng.random((3, 20, 30), dtype=np.float32)
    planes.setflags(write=False)
    assert load_picture(planes, 16).shape == (3, 16, 16)
    for wrong in (np.zeros((3, 20, 30), np.uint8), np.zeros(20, np.uint8), np.zeros((20, 30, 4), np.uint16)):
        with pytest.raises(PictureError, match="is not a picture"):
            load_picture(wrong)


def test_arrays_tensors_and_files_agree(tmp_path):
    levels = np.stack([ramp(), ramp()[::-1], ramp()[:, ::-1]], -1)
    Image.fromarray(levels).save(tmp_path / "a.png")
    from_file = load_picture(tmp_path / "a.png", 48)
    for other in (
        levels,
        Image.fromarray(levels),
        torch.from_numpy(levels.transpose(2, 0, 1).astype(np.float32) / 255),
    ):
        np.testing.assert_allclose(load_picture(other, 48), from_file, atol=1e-6)


def test_member_of_a_zip_file(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "inner/a.png")
    np.testing.assert_array_equal(load_picture(tmp_path / "all.zip" / "inner/a.png"), load_picture(tmp_path / "a.png"))
    with pytest.raises(PictureError, match=r"b\.png"):
        load_picture(str(tmp_path / "all.zip/inner/b.png"))


def test_slice_is_split_from_a_path(tmp_path):
    assert split_slice("a/b.nii.gz#slice=57") == ("a/b.nii.gz", 57)
    assert split_slice("a#b/c.png") == ("a#b/c.png", None)
    (tmp_path / "a.bin").write_bytes(b"content")
    assert read_bytes(f"{tmp_path}/a.bin#slice=3") == b"content"
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"a\.png#slice=3: there is no page 3, only 0 to 0"):
        load_picture(f"{tmp_path}/a.png#slice=3")


def write_huge_png(path):
    Image.new("1", (12_000, 12_000)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("missing.png", lambda path: None, "no such file"),
        ("empty.png", lambda path: path.write_bytes(b""), "empty"),
        ("text.png", lambda path: path.write_text("not a picture at all"), "not a readable picture"),
        ("tiny.png", lambda path: Image.new("RGB", (1, 1)).save(path), "1×1 pixels are too few"),
        ("huge.png", write_huge_png, "12000×12000 pixels are too many"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(PictureError, match=message) as caught:
        load_picture(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("values", [np.full((20, 20), 70_000, np.int32), np.full((20, 20), 7.5, np.float32)])
def test_values_without_a_known_range_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "wide.tif")
    with pytest.raises(PictureError, match=r"wide\.tif"):
        load_picture(tmp_path / "wide.tif")


def test_truncated_file(tmp_path, save_noise):
    path = save_noise("whole.png", (200, 200))
    (tmp_path / "cut.png").write_bytes(path.read_bytes()[:3000])
    with pytest.raises(PictureError, match=r"cut\.png"):
        load_picture(tmp_path / "cut.png")


def test_opened_files_that_cannot_be_decoded_are_named(tmp_path, save_noise):
    cut = tmp_path / "cut.png"
    cut.write_bytes(save_noise("whole.png", (200, 200)).read_bytes()[:3000])
    closed = Image.open(save_noise("closed.png"))
    closed.close()
    for picture, name in ((Image.open(cut), r"cut\.png"), (closed, r"closed\.png")):
        with pytest.raises(PictureError, match=rf"{name}: not a readable picture"):
            load_picture(picture)
    with pytest.raises(PictureError, match="a PIL picture of mode La"):
        load_picture(Image.new("RGBA", (20, 20)).convert("La"))


@pytest.mark.parametrize(
    "array",
    [
        np.full((3, 20, 20), np.nan),
        np.full((3, 20, 20), 1.5),
        np.zeros((2, 20, 20)),
        np.zeros((4, 3, 20, 20)),
        np.zeros((20, 20), complex),
        np.full((20, 20), None),
        [[1, 2], [3]],
    ],
    ids=["nan", "out of range", "two channels", "four dimensions", "complex", "objects", "ragged"],
)
def test_bad_arrays(array):
    with pytest.raises(PictureError):
        load_picture(array)


@pytest.mark.parametrize("size", [0, -1, 64.5, "64"])
def test_a_size_is_a_number_of_pixels(tmp_path, save_noise, size):
    with pytest.raises(LCMemError, match=f"whole number of pixels, not {size}"):
        load_picture(save_noise("whole.png"), size)


def test_tensors_of_a_training(rng):
    picture = torch.from_numpy(rng.random((3, 20, 20), dtype=np.float32))
    np.testing.assert_array_equal(load_picture(picture.clone().requires_grad_()), picture.numpy())
    half = picture.to(torch.bfloat16)
    np.testing.assert_array_equal(load_picture(half), half.float().numpy())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.png", b"<!DOCTYPE html><html>", "a web page"),
        ("paper.jpg", b"%PDF-1.4", "a PDF document; export"),
        ("pointer.png", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture; convert"),
        ("cut.tif", b"II*\0\xff\xff\0\0", "damaged or cut off; copy or export it again"),
        ("cut.gif", b"GIF89a", "damaged or cut off"),
        ("noise.png", b"nothing at all", "not a picture of a kind that is read .*PNG"),
    ],
)
def test_messages_say_what_a_file_is_and_the_way_out(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PictureError, match=rf"{name}: not a readable picture: .*{message}") as caught:
        load_picture(tmp_path / name)
    assert "object" not in str(caught.value) and "0x" not in str(caught.value)
