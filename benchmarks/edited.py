"""Measure detectors on edited copies of the pictures of datasets without identities, for a model's card.

python benchmarks/edited.py MANIFEST --detectors mse,ncc,ssim,runs/detector/stage2 --out runs/measured
"""

import argparse
from pathlib import Path

from lcmem.evaluation.copy.edited import benchmark_edited
from lcmem.pictures.manifest import Manifest

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--detectors", required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    test = Manifest.read(arguments.manifest).select(split="test")
    print(benchmark_edited(test, arguments.detectors.split(","), arguments.out).to_string(index=False))
