"""Claim: DICOM and NIfTI look as a viewer shows them, and what cannot be shown is named with the reason."""

import gzip
import shutil
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from lcmem.errors import PictureError
from lcmem.pictures.image import load_picture
from lcmem.pictures.intensity import HOUNSFIELD_WINDOW
from lcmem.pictures.manifest import Manifest

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.pixels import apply_modality_lut, apply_windowing, pixel_array  # noqa: E402


def sample(name: str) -> str:
    return str(get_testdata_file(name, download=False))


@pytest.fixture
def write_dicom(tmp_path):
    """Write an uncompressed DICOM file of these stored values and return its path."""

    def write(pixels: np.ndarray, name: str = "a.dcm", **elements: object):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
        colours = pixels.shape[-1] == 3
        dataset.SamplesPerPixel = 3 if colours else 1
        dataset.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
        if colours:
            dataset.PlanarConfiguration = 0
        dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colours else pixels.shape[-2:]
        if pixels.ndim > 2 + colours:
            dataset.NumberOfFrames = len(pixels)
        dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
        dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset["PixelData"] = pydicom.DataElement("PixelData", "OW", pixels.tobytes())
        pydicom.dcmwrite(tmp_path / name, dataset, enforce_file_format=True)
        return tmp_path / name

    return write


def ramp(low: int, high: int, dtype: type) -> np.ndarray:
    return np.linspace(low, high, 24 * 32).round().astype(dtype).reshape(24, 32)


def test_window_after_rescale(write_dicom):
    stored = ramp(0, 4000, np.uint16)
    path = write_dicom(
        stored,
        BitsStored=12,
        HighBit=11,
        RescaleSlope=2,
        RescaleIntercept=-1024,
        WindowCenter=[40, 0],
        WindowWidth=[400, 9],
    )
    units = stored * 2.0 - 1024
    expected = np.clip((units - 39.5) / 399 + 0.5, 0, 1)
    np.testing.assert_allclose(load_picture(path)[0], expected, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_those_of_pydicom(write_dicom, function):
    stored = ramp(0, 4095, np.uint16)
    path = write_dicom(stored, BitsStored=12, HighBit=11, WindowCenter=1500, WindowWidth=900, VOILUTFunction=function)
    expected = apply_windowing(stored, pydicom.dcmread(path)) / 4095
    np.testing.assert_allclose(load_picture(path)[1], expected, atol=1e-6)


def test_monochrome1_is_inverted(write_dicom):
    stored = ramp(0, 1000, np.uint16)
    light = load_picture(write_dicom(stored, WindowCenter=500, WindowWidth=1001))
    dark = load_picture(
        write_dicom(stored, PhotometricInterpretation="MONOCHROME1", WindowCenter=500, WindowWidth=1001)
    )
    assert light[0, 0, 0] < 0.001 and light[0, -1, -1] == 1
    np.testing.assert_allclose(dark, 1 - light, atol=1e-6)


def test_voi_lut(write_dicom):
    table = pydicom.Dataset()
    table.LUTDescriptor = [256, 10, 12]
    table.add_new("LUTData", "US", [int(4095 * (1 - k / 255)) for k in range(256)])
    stored = ramp(0, 400, np.uint16)
    path = write_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=[table], WindowCenter=1, WindowWidth=1)
    entries = np.clip(stored.astype(int) - 10, 0, 255)
    np.testing.assert_allclose(load_picture(path)[0], (4095 * (1 - entries / 255)).astype(int) / 4095, atol=1e-6)


def lookup(entries, first, bits, kind="US"):
    """An item of a sequence of lookup tables."""
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries), first % 2**16, bits])
    held = np.asarray(entries, np.uint8 if kind == "packed" else np.uint16)
    table.add_new("LUTData", "US" if kind == "US" else "OW", held.tolist() if kind == "US" else held.tobytes())
    return [table]


@pytest.mark.parametrize(("kind", "bits"), [("US", 8), ("packed", 8), ("US", 16), ("OW", 16), ("OW", 12)])
def test_lookup_tables_of_every_depth(write_dicom, kind, bits):
    """Entries of 8 bits for values of 12: pydicom counts positions in 8 bits, which makes noise of them."""
    stored, rising = ramp(0, 4095, np.uint16), np.linspace(0, 2**bits - 1, 4096).round().astype(int)
    path = write_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=lookup(rising, 0, bits, kind))
    np.testing.assert_allclose(load_picture(path)[0], stored / 4095, atol=2 / 255)


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"])
def test_a_table_may_begin_below_zero(write_dicom, tmp_path, syntax):
    stored, rising = ramp(0, 4095, np.uint16), np.linspace(0, 4095, 4096).round().astype(int)
    options = {"RescaleSlope": 1, "RescaleIntercept": -1024, "Modality": "CT"}
    path = write_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=lookup(rising, -1024, 12), **options)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    plain = syntax.startswith("Implicit")
    dataset.save_as(path, implicit_vr=plain, little_endian=True)
    np.testing.assert_allclose(load_picture(path)[0], stored / 4095, atol=1e-3)


def test_a_modality_table_of_12_bits(write_dicom):
    stored, falling = ramp(0, 4095, np.uint16), np.linspace(4095, 0, 4096).round().astype(int)
    table = lookup(falling, 0, 12, "OW")
    path = write_dicom(
        stored, BitsStored=12, HighBit=11, ModalityLUTSequence=table, WindowCenter=2048, WindowWidth=4096
    )
    np.testing.assert_allclose(load_picture(path)[0], 1 - stored / 4095, atol=1e-3)


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 0, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": -200},
        {"WindowCenter": "", "WindowWidth": ""},
        {"RescaleSlope": "", "RescaleIntercept": ""},
    ],
)
def test_elements_without_a_meaning_are_absent(write_dicom, elements):
    stored = ramp(0, 4095, np.uint16)
    plain = load_picture(write_dicom(stored, "plain.dcm", BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(load_picture(write_dicom(stored, BitsStored=12, HighBit=11, **elements)), plain)


def test_bits_that_are_stored_high(write_dicom):
    stored = ramp(0, 4095, np.uint16)
    window = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    low, high = (
        load_picture(write_dicom(pixels, name, HighBit=bit, **window))
        for pixels, name, bit in ((stored, "low.dcm", 11), (stored << 4, "high.dcm", 15))
    )
    np.testing.assert_array_equal(low, high)


@pytest.mark.parametrize("high", [11, 12, 15, 16, 31])
def test_a_high_bit_that_is_wrong_changes_nothing(write_dicom, high):
    stored = ramp(0, 4095, np.uint16)
    window = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    right = load_picture(write_dicom(stored, "right.dcm", HighBit=11, **window))
    np.testing.assert_array_equal(load_picture(write_dicom(stored, HighBit=high, **window)), right)


def test_a_table_slightly_beyond_its_depth_is_clipped(write_dicom):
    stored, rising = ramp(0, 4095, np.uint16), np.linspace(0, 4096, 4096).round().astype(int)
    path = write_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=lookup(rising, 0, 12))
    np.testing.assert_allclose(load_picture(path)[0], stored / 4095, atol=1e-3)


def test_window_in_the_functional_groups_of_a_frame(write_dicom):
    stored = np.stack([ramp(0, 100, np.uint16), ramp(0, 100, np.uint16)])
    groups = []
    for center in (20, 80):
        voi, frame = pydicom.Dataset(), pydicom.Dataset()
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = center, 20, "LINEAR_EXACT"
        frame.FrameVOILUTSequence = [voi]
        groups.append(frame)
    path = write_dicom(stored, PerFrameFunctionalGroupsSequence=groups)
    for index, center in enumerate((20, 80)):
        expected = np.clip((stored[index] - float(center)) / 20 + 0.5, 0, 1)
        np.testing.assert_allclose(load_picture(f"{path}#slice={index}")[0], expected, atol=1e-6)


def test_without_a_window(write_dicom):
    """8-bit values are grey values; a few outliers do not squeeze the rest; CT goes through the Hounsfield window."""
    shown = ramp(50, 180, np.uint8)
    np.testing.assert_allclose(load_picture(write_dicom(shown))[0], shown / 255, atol=1e-6)
    measured = ramp(100, 1100, np.uint16)
    measured[0, 0] = 60_000
    planes = load_picture(write_dicom(measured))
    assert planes.min() == 0 and planes.max() == 1 and abs(np.median(planes) - 0.5) < 0.01
    path = sample("CT_small.dcm")
    units = apply_modality_lut(pixel_array(path), pydicom.dcmread(path))
    low, high = HOUNSFIELD_WINDOW
    np.testing.assert_allclose(load_picture(path)[0], np.clip((units - low) / (high - low), 0, 1), atol=1e-6)


def test_constant_picture_is_black(write_dicom):
    assert load_picture(write_dicom(np.full((20, 20), 700, np.uint16))).max() == 0


def test_palette(write_dicom):
    tables = {"Red": [255 - k for k in range(256)], "Green": list(range(256)), "Blue": [7] * 256}
    elements: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in tables.items():
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        elements[f"{colour}PaletteColorLookupTableData"] = bytes(table)
    stored = ramp(0, 255, np.uint8)
    planes = load_picture(write_dicom(stored, **elements))
    np.testing.assert_allclose(planes, np.stack([255 - stored, stored, np.full_like(stored, 7)]) / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["SC_ybr_full_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_16bit.dcm"])
def test_colours_are_those_of_the_plain_file(name):
    """The same red, green, blue, … bars in four encodings; JPEG may be off by some levels."""
    plain = pixel_array(sample("SC_rgb.dcm")).transpose(2, 0, 1) / 255
    assert np.abs(load_picture(sample(name)) - plain).max() < 0.025


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm"]
)
def test_lossless_compression_changes_nothing(name):
    np.testing.assert_array_equal(load_picture(sample(name)), load_picture(sample("MR_small.dcm")))


def test_jpeg_lossless_is_decoded():
    assert load_picture(sample("JPGLosslessP14SV1_1s_1f_8b.dcm")).shape == (3, 768, 1024)


def test_frames_are_named_or_refused():
    path = sample("emri_small.dcm")
    frames = pixel_array(path)
    with pytest.raises(PictureError, match=r"10 frames; name one, for example .*emri_small\.dcm#slice=5"):
        load_picture(path)
    with pytest.raises(PictureError, match="no frame 10, only 0 to 9"):
        load_picture(f"{path}#slice=10")
    first, last = load_picture(f"{path}#slice=0")[0], load_picture(f"{path}#slice=9")[0]
    assert np.corrcoef(first.ravel(), frames[0].ravel())[0, 1] > 0.99
    assert np.corrcoef(last.ravel(), frames[9].ravel())[0, 1] > 0.99
    assert np.corrcoef(last.ravel(), frames[0].ravel())[0, 1] < 0.99


def test_dicom_in_a_folder_and_in_a_zip_file(write_dicom, tmp_path):
    plain = write_dicom(ramp(0, 255, np.uint8))
    (tmp_path / "set").mkdir()
    for name in ("1.2.840.113.7", "IM0001", "b.DCM", "DICOMDIR"):
        shutil.copy(plain, tmp_path / "set" / name)
    (tmp_path / "set" / "README").write_text("no picture " * 50)
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    for source in (tmp_path / "set", tmp_path / "set.zip"):
        found = Manifest.read(source)
        assert [path.rsplit("/", 1)[1] for path in found.paths] == ["1.2.840.113.7", "IM0001", "b.DCM"]
        for path in found.paths:
            np.testing.assert_array_equal(load_picture(path), load_picture(plain))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_truncated.dcm", "not a readable picture"),
        ("reportsi.dcm", r"\(SR\) holds no picture"),
        ("JPEGLSNearLossless_08.dcm", "10×45 pixels are too few"),
        ("no_meta.dcm", "not a DICOM file"),
    ],
)
def test_bad_dicom_is_named_with_the_reason(name, message):
    with pytest.raises(PictureError, match=message) as caught:
        load_picture(sample(name))
    assert name in str(caught.value)


@pytest.mark.parametrize("length", [140, 400, 1500, 5000])
def test_cut_dicom(tmp_path, length):
    with open(sample("MR_small.dcm"), "rb") as whole:
        (tmp_path / "cut.dcm").write_bytes(whole.read(length))
    with pytest.raises(PictureError, match=r"cut\.dcm"):
        load_picture(tmp_path / "cut.dcm")


def test_too_many_pixels_are_refused_from_the_header(write_dicom):
    path = write_dicom(ramp(0, 255, np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = 20_000
    dataset.save_as(path)
    with pytest.raises(PictureError, match="20000×20000 pixels are too many"):
        load_picture(path)


@pytest.mark.parametrize(
    ("codes", "seen"),
    [
        ("RAS", "axial"),
        ("LPS", "axial"),
        ("PRS", "axial"),
        ("RSA", "coronal"),
        ("SLP", "coronal"),
        ("ASR", "sagittal"),
        ("IPL", "sagittal"),
    ],
)
def test_slices_are_upright_whatever_the_storage_order(tmp_path, codes, seen):
    """A bright voxel at the right, anterior, superior corner: upper left in every plane, in the file's last slice."""
    sizes = {"R": 20, "A": 24, "S": 28}
    canonical = np.full((20, 24, 28), -1000, np.int16)
    canonical[-1, -1, -1] = 400
    canonical[-1, -1, 0], canonical[-1, 0, -1], canonical[0, -1, -1] = 50, -300, -650  # inferior, posterior, left
    image = nibabel.Nifti1Image(canonical, np.diag([1.0, 1.5, 2.0, 1.0]))
    turned = image.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
        )
    )
    assert "".join(nibabel.aff2axcodes(turned.affine)) == codes
    nibabel.save(turned, tmp_path / "v.nii.gz")
    last = turned.shape[2] - 1 if codes[2] in "RAS" else 0
    planes = load_picture(f"{tmp_path}/v.nii.gz#slice={last}")
    height, width, upper_right, lower_left = {
        "axial": ("A", "R", 0.25, 0.5),
        "coronal": ("S", "R", 0.25, 0.75),
        "sagittal": ("S", "A", 0.5, 0.75),
    }[seen]
    assert planes.shape == (3, sizes[height], sizes[width])
    assert planes[0, 0, 0] == 1 and planes[0, -1, -1] == 0
    assert (planes[0, 0, -1], planes[0, -1, 0]) == (upper_right, lower_left)


def save_volume(path, values):
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return path


def test_hounsfield_units_go_through_one_window_for_the_whole_volume(tmp_path):
    units = np.zeros((20, 20, 3), np.int16)
    units[..., 0] = -2000
    units[..., 1] = np.linspace(-1000, 400, 400).reshape(20, 20)
    units[..., 2] = 50
    path = save_volume(tmp_path / "ct.nii.gz", units)
    assert load_picture(f"{path}#slice=0").max() == 0
    np.testing.assert_allclose(
        load_picture(f"{path}#slice=1")[0, ::-1, ::-1].T, (units[..., 1] + 1000) / 1400, atol=1e-6
    )
    np.testing.assert_allclose(load_picture(f"{path}#slice=2"), 0.75), "no stretch where a slice holds no air"


def test_slope_and_intercept_count(tmp_path):
    whole = np.linspace(-1000, 400, 400).reshape(20, 20, 1)
    path = save_volume(tmp_path / "ct.nii", whole.astype(np.float32))
    image = nibabel.load(path)
    stored = nibabel.Nifti1Image(((whole + 1024) / 2).round().astype(np.int16), np.eye(4), image.header)
    stored.set_data_dtype(np.int16)
    stored.header.set_slope_inter(2, -1024)
    nibabel.save(stored, tmp_path / "scaled.nii")
    assert abs(nibabel.load(tmp_path / "scaled.nii").dataobj.slope - 2) < 1e-6, "the file does hold a slope"
    np.testing.assert_allclose(load_picture(tmp_path / "scaled.nii"), load_picture(path), atol=1e-3)


def test_other_volumes_are_stretched(tmp_path, rng):
    values = rng.uniform(300, 900, (30, 30, 2)).astype(np.float32)
    values[0, 0, 0] = np.nan
    path = save_volume(tmp_path / "mr.nii", values)
    low, high = np.nanpercentile(values[..., 0], [0.5, 99.5])
    expected = np.nan_to_num(np.clip((values[..., 0] - low) / (high - low), 0, 1))
    np.testing.assert_allclose(load_picture(f"{path}#slice=0")[0, ::-1, ::-1].T, expected, atol=1e-5)


def test_nifti_in_a_table_in_a_zip_file_and_in_version_2(tmp_path, rng):
    values = rng.integers(0, 1000, (20, 20, 4)).astype(np.int16)
    plain = save_volume(tmp_path / "v.nii.gz", values)
    nibabel.save(nibabel.Nifti2Image(values, np.eye(4)), tmp_path / "two.nii")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(plain, "inner/v.nii.gz")
    pd.DataFrame({"path": ["v.nii.gz#slice=2", "all.zip/inner/v.nii.gz#slice=2", "two.nii#slice=2"]}).to_csv(
        tmp_path / "m.csv", index=False
    )
    pictures = [load_picture(path) for path in Manifest.read(tmp_path / "m.csv").paths]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_volume_is_decompressed_once_and_again_after_a_change(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(gzip.GzipFile, "__init__", count(gzip.GzipFile.__init__, opened))
    path = save_volume(tmp_path / "v.nii.gz", np.stack([ramp(0, 900, np.int16)] * 3, -1))
    opened.clear()
    before = [load_picture(f"{path}#slice={k}") for k in range(3)]
    assert len(opened) == 1
    save_volume(path, np.stack([ramp(0, 900, np.int16)[::-1]] * 4, -1))
    assert not np.array_equal(load_picture(f"{path}#slice=0"), before[0])


def count(function, calls):
    def counting(*arguments, **options):
        calls.append(arguments)
        return function(*arguments, **options)

    return counting


def test_volume_without_a_slice(tmp_path):
    path = save_volume(tmp_path / "v.nii.gz", np.zeros((20, 20, 8), np.int16))
    with pytest.raises(PictureError, match=r"8 slices; name one, for example .*v\.nii\.gz#slice=4"):
        load_picture(path)
    with pytest.raises(PictureError, match="no slice 8, only 0 to 7"):
        load_picture(f"{path}#slice=8")
    only = save_volume(tmp_path / "one.nii.gz", np.zeros((20, 20, 1), np.int16))
    assert load_picture(only).shape == (3, 20, 20)


@pytest.mark.parametrize("shape", [(20, 20, 4, 2), (20, 8, 4)])
def test_volumes_of_a_wrong_shape(tmp_path, shape):
    path = save_volume(tmp_path / "v.nii.gz", np.zeros(shape, np.int16))
    with pytest.raises(PictureError, match=r"v\.nii\.gz: (4 dimensions|low information: 20×8 pixels are too few)"):
        load_picture(f"{path}#slice=0")


def test_damaged_nifti(tmp_path, rng):
    path = save_volume(tmp_path / "v.nii.gz", rng.integers(0, 1000, (40, 40, 8)).astype(np.int16))
    (tmp_path / "cut.nii.gz").write_bytes(path.read_bytes()[:5000])
    (tmp_path / "text.nii").write_text("not a volume at all " * 50)
    (tmp_path / "empty.nii").write_bytes(b"")
    for name in ("cut.nii.gz", "text.nii", "empty.nii", "missing.nii"):
        with pytest.raises(PictureError, match=name):
            load_picture(f"{tmp_path}/{name}#slice=0")


@pytest.mark.parametrize(("module", "name"), [("pydicom", "a.dcm"), ("nibabel", "a.nii")])
def test_missing_library_says_what_to_install(tmp_path, monkeypatch, module, name):
    (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 300)
    for loaded in [key for key in sys.modules if key.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PictureError, match=rf"{name}.*pip install 'lcmem\[medical\]'"):
        load_picture(tmp_path / name)


def test_padding_is_no_part_of_the_window(write_dicom):
    stored = ramp(1000, 2000, np.int16)
    whole = load_picture(write_dicom(stored))
    padded = stored.copy()
    padded[:, :8] = -32000
    for elements in (
        {"PixelPaddingValue": -32000},
        {"PixelPaddingValue": -32001, "PixelPaddingRangeLimit": -31000},
        {"PixelPaddingValue": -32000, "PhotometricInterpretation": "MONOCHROME1"},
    ):
        planes = load_picture(write_dicom(padded, **elements))
        picture = 1 - planes if "PhotometricInterpretation" in elements else planes
        assert planes[:, :, :8].max() == 0
        np.testing.assert_allclose(picture[:, :, 8:], whole[:, :, 8:], atol=0.02)


@pytest.mark.parametrize("odd", [-600.0, -np.inf])
def test_one_voxel_does_not_turn_an_mri_into_a_ct(tmp_path, rng, odd):
    values = rng.uniform(0, 900, (40, 40, 3)).astype(np.float32)
    plain = load_picture(f"{save_volume(tmp_path / 'a.nii', values)}#slice=1")
    values[5, 5, 0] = odd
    np.testing.assert_array_equal(load_picture(f"{save_volume(tmp_path / 'b.nii', values)}#slice=1"), plain)
    planes = load_picture(f"{tmp_path}/b.nii#slice=0")
    assert planes.min() == 0 and np.isfinite(planes).all() and abs(np.median(planes) - 0.5) < 0.1


def test_a_slice_of_computed_tomography_without_air_is_not_stretched(write_dicom):
    stored = ramp(1000, 1100, np.int16)
    planes = load_picture(write_dicom(stored, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024))
    np.testing.assert_allclose(planes[0], (stored - 1024.0 + 1000) / 1400, atol=1e-6)


@pytest.mark.parametrize("element", ["Rows", "BitsStored"])
def test_a_missing_element_is_named_as_such(tmp_path, element):
    dataset = pydicom.dcmread(sample("CT_small.dcm"))
    delattr(dataset, element)
    dataset.save_as(tmp_path / "a.dcm")
    words = {"Rows": "its element Rows is missing", "BitsStored": "Missing required element.*Bits Stored"}[element]
    with pytest.raises(PictureError, match=rf"a\.dcm: .*{words}") as caught:
        load_picture(tmp_path / "a.dcm")
    assert "attribute" not in str(caught.value)
