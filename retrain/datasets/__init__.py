"""Labels become dataset versions: immutable, named by their content, clean of what looks planted, with parts that share
no twins. `retrain.datasets.assembly.assemble` makes them. See docs/feedback-loop.md.
"""

from retrain.datasets.errors import DatasetError
from retrain.datasets.example import Example, Part
from retrain.datasets.manifest import Dataset, Manifest
from retrain.datasets.policy import Policy, Reason
from retrain.datasets.store import HeldOut, TrainingData, holding, open_dataset, open_for_gate, open_for_training, write

__all__ = [
    "Dataset",
    "DatasetError",
    "Example",
    "HeldOut",
    "Manifest",
    "Part",
    "Policy",
    "Reason",
    "TrainingData",
    "holding",
    "open_dataset",
    "open_for_gate",
    "open_for_training",
    "write",
]
