"""Claims: from Python, pictures may be paths, PIL pictures, arrays or tensors alike; results say what they are."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.utils import make_grid

import lcmem
from lcmem.atlas import Atlas, fill_atlas
from lcmem.errors import LCMemError, LCMemWarning, PictureError
from lcmem.jobs.audit.doubts import doubtful_names
from lcmem.pictures.batch import split_batch
from lcmem.pictures.image import load_levels
from lcmem.pictures.sheets import sheet_of
from lcmem.scan import scan

pytestmark = pytest.mark.usefixtures("looks_once")


@pytest.fixture(scope="module")
def levels(orl):
    """[N, H, W, 3] uint8: two pictures of each of ten people."""
    return np.stack([load_levels(path).transpose(1, 2, 0) for path in (orl.paths[at] for at in range(0, 100, 5))])


def forms(levels):
    """The same pictures as people have them."""
    floats = torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255
    return {
        "list of PIL pictures": [Image.fromarray(each) for each in levels],
        "array": levels,
        "array in [0, 1]": levels.astype(np.float32) / 255,
        "tensor in [0, 1]": floats,
        "tensor of bytes": torch.from_numpy(levels).permute(0, 3, 1, 2),
        "list of tensors": list(floats),
        "a generator": (each for each in levels),
        "values of a dictionary": dict(enumerate(levels)).values(),
        "a column": pd.Series(list(levels)),
        "tensor in float64": floats.to(torch.float64),
    }


def test_features_of_every_form(levels, compact, orl):
    expected = compact.features([orl.paths[at] for at in range(0, 100, 5)])
    for name, pictures in forms(levels).items():
        torch.testing.assert_close(compact.features(pictures), expected, atol=2e-3, rtol=0, msg=name)
    assert compact.score(levels[0], levels[0]) == pytest.approx(float(compact.bias))
    assert compact.score(levels[:3], levels[0]).shape == (3,)
    with pytest.raises(LCMemError, match="3 pictures cannot be compared with 2: give as many, or one"):
        compact.score(levels[:3], levels[:2])


def test_what_embed_and_features_do_not_take(levels, compact):
    for pictures in (torch.zeros(1, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(LCMemError, match=r"embed takes uint8 pictures \[B, 3, S, S\], not"):
            compact.embed(pictures)
    for size in (0, -1, 2.5):
        with pytest.raises(LCMemError, match=f"whole number of at least 1, not {size}"):
            compact.features(levels, batch_size=size)


@pytest.mark.parametrize("name", ["compact", "efficientnet-lite0", "compact-latent", "ncc"])
def test_features_do_not_depend_on_what_torch_does_by_default(levels, name):
    """As inside of a training in mixed precision, and of scientific code in double precision."""
    detector = lcmem.load_detector(name)
    expected = detector.features(levels[:2])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(detector.features(levels[:2]), expected, rtol=0, atol=1e-6)
        score = detector.score(levels[0], levels[1])
    assert score == pytest.approx(detector.score(levels[0], levels[1]), abs=1e-5)
    torch.set_default_dtype(torch.float64)
    try:
        torch.testing.assert_close(lcmem.load_detector(name).features(levels[:2]), expected, rtol=0, atol=1e-6)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("rows", "columns", "padding"), [(2, 2, 0), (4, 8, 2), (1, 3, 2)])
def test_sheets_of_samples_are_doubtful(orl, compact, tmp_path, rng, rows, columns, padding):
    """As trainings write them: what is in them is missed, and the audit would be calm."""
    paths = []
    for number in range(10):
        chosen = rng.choice(orl.paths, rows * columns, replace=False)
        shown = [torch.from_numpy(load_levels(path, 64)) for path in chosen]
        sheet = make_grid(torch.stack(shown), nrow=columns, padding=padding)
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(paths[-1])
    assert sheet_of(paths) == (rows, columns) and sheet_of(orl.paths) is None
    with pytest.warns(LCMemWarning, match=f"sheets of {rows} × {columns} samples"):
        found = lcmem.audit(orl.rows(range(100)), paths, model=compact, workers=0)
    assert "sheets of" in found.about["warnings"][0]


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_the_range_of_a_generator_is_refused_with_the_remedy(kind, rng):
    pictures = kind(rng.uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32))
    with pytest.raises(PictureError, match=r"/ 2 \+ 0\.5"):
        split_batch(pictures)
    with pytest.raises(PictureError, match="uint8"):
        split_batch(kind(rng.uniform(0, 255, (2, 3, 16, 16)).astype(np.float32)))
    with pytest.raises(PictureError, match=r"int64 up to 255: .* uint8"):
        split_batch(kind(rng.integers(0, 256, (2, 3, 16, 16))))
    with pytest.raises(PictureError, match="is no picture"):
        split_batch(kind(rng.uniform(0, 1, (2, 7, 16, 16)).astype(np.float32)))


def test_what_is_no_picture_is_named():
    for other in (b"\x89PNG", "text of a list".split, {"a": 1}):
        with pytest.raises(PictureError, match="is no picture: paths, PIL pictures, arrays and tensors are"):
            split_batch([other])


def test_an_audit_of_pictures_in_memory(levels, compact, orl, tmp_path):
    """A tensor from a generator against a list of paths finds what the files would."""
    paths = [orl.paths[at] for at in range(0, 100, 5)]
    tensor = torch.from_numpy(levels[:4]).permute(0, 3, 1, 2).float() / 255
    for out in (None, tmp_path / "out"):
        found = lcmem.audit(paths, tensor, model=compact, out=out, workers=0)
        best = found.to_frame()
        assert best["real"].tolist() == paths[:4] and (best["verdict"] == "copy").all()
    assert (tmp_path / "out" / "index.html").read_text().count("data:image/jpeg") >= 8
    assert len(list((tmp_path / "out" / "pictures" / "synthetic").iterdir())) == 4
    assert len(repr(found).splitlines()) <= 5 and "4 of 4" in repr(found)
    assert "<td>100.0%" in found._repr_html_()
    with pytest.raises(PictureError, match=r"/ 2 \+ 0\.5"):
        lcmem.audit(paths, tensor * 2 - 1, model=compact)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"real": "a", "synthetic": "a/../a"}, "synthetic and real are the same pictures"),
        ({"real": "real", "synthetic": "new", "holdout": "real"}, "real and holdout are the same pictures"),
        ({"real": "my-synthetic", "synthetic": "real_train"}, "wrong way round?"),
    ],
)
def test_inputs_that_are_hardly_meant(inputs, words):
    assert [words in doubt for doubt in doubtful_names(inputs)] == [True]
    assert not doubtful_names({"real": "real", "synthetic": "synthetic", "holdout": None})
    assert not doubtful_names({"real": "celeba", "synthetic": "surreal"})
    assert doubtful_names({"real": "train pictures", "synthetic": "train pictures"}), "a folder, not pictures in memory"


def test_repr_is_short(compact, people, tmp_path):
    assert repr(compact).startswith("LCMem('compact': 512 features of 128-pixel pictures") and "\n" not in repr(compact)
    atlas = Atlas.create(tmp_path, compact)
    fill_atlas(people.rows(range(3)), compact, atlas, workers=0)
    assert "3 pictures, 512 features of model 'compact'" in repr(atlas) and "\n" not in repr(atlas)
    found = scan(atlas.features(), None, compact.head, threshold=-np.inf)
    assert "3 queries" in repr(found) and len(repr(found).splitlines()) <= 6
    assert found._repr_html_().startswith("<table") and "<td>3</td>" in found._repr_html_()


def test_the_version_is_the_package_s():
    from importlib.metadata import version

    assert lcmem.__version__ == version("lcmem")


def test_one_picture_and_a_generator_are_sets_as_well(levels, compact, orl):
    picture = Image.fromarray(levels[0])
    for synthetic in (picture, levels[0], (Image.fromarray(each) for each in levels[:1])):
        result = lcmem.audit(orl.paths[:20], synthetic, model=compact, workers=0)
        assert result.memorization.total == 1
