"""The red-team suite: Plumbline's own test pairs, disguised as an agent that hides from its monitor would do it."""

from retrain.redteam.attacks import ATTACKS, Attack
from retrain.redteam.suite import Attacked, attacked, suite

__all__ = ["ATTACKS", "Attack", "Attacked", "attacked", "suite"]
