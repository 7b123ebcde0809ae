"""When to stop: as soon as what was held back has not got better for a while, and then with the best weights so far."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(slots=True)
class Stopping:
    """`patience`: how many looks without a lower loss end the training; None never does."""

    patience: int | None
    lowest: float = math.inf
    waited: int = 0
    _best: dict[str, Any] = field(default_factory=dict)

    def look(self, loss: float, network: nn.Module) -> bool:
        """Whether to go on, now that `network` has this loss on what was held back."""
        if self.patience is None:
            return True
        if loss < self.lowest:
            self.lowest, self.waited, self._best = loss, 0, copy.deepcopy(network.state_dict())
        else:
            self.waited += 1
        return self.waited < self.patience

    def restore(self, network: nn.Module) -> None:
        """Gives `network` the weights that had the lowest loss."""
        if self._best:
            network.load_state_dict(self._best)
