"""SFace's published weights in the layers of :class:`lcmem.model.faces.MobileFaceNet`."""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from lcmem.detectors.faces import folded, model_folder
from lcmem.model.faces import FEATURES, MobileFaceNet


def recogniser() -> MobileFaceNet:
    """SFace with its batch normalisations and its scaling of pixels folded into the layers beside them."""
    graph = onnx.load_from_string(folded(model_folder() / "face_recognition_sface_2021dec_int8bq.onnx")).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]].astype(int))

    def norm(name: str) -> tuple[np.ndarray, np.ndarray]:
        scale, shift, mean, variance = (values[each].astype(float) for each in made[name].input[1:])
        epsilon = next(each.f for each in made[name].attribute if each.name == "epsilon")
        factor = scale / np.sqrt(variance + epsilon)
        return factor, shift - mean * factor

    def fill(conv: Any, relu: Any, name: str) -> None:
        factor, shift = norm(f"{name}_batchnorm")
        weight = values[made[f"{name}_conv2d"].input[1]] * factor[:, None, None, None]
        conv.weight.copy_(torch.tensor(weight).reshape(conv.weight.shape))
        conv.bias.copy_(torch.tensor(shift))
        relu.weight.copy_(torch.tensor(values[f"{name}_relu_gamma"].reshape(-1)))

    network = MobileFaceNet()
    with torch.no_grad():
        fill(network.stem[0], network.stem[1], "conv_1")
        network.stem[0].weight.mul_(127.5 / 128)  # SFace divides by 128, the model's pixels are in [-1, 1]
        for number, step in enumerate(network.steps, start=2):
            fill(step[0], step[1], f"conv_{number}_dw")
            fill(step[2], step[3], f"conv_{number}")
        (before, lift), (after, shift) = norm("bn1"), norm("fc1")
        weight = values["pre_fc1_weight_dequantized"].astype(float).reshape(FEATURES, len(before), -1)
        bias = values["pre_fc1_bias_dequantized"] + (weight * lift[:, None]).sum((1, 2))
        network.last.weight.copy_(torch.tensor((weight * before[:, None]).reshape(FEATURES, -1) * after[:, None]))
        network.last.bias.copy_(torch.tensor(bias * after + shift))
    return network.eval()
