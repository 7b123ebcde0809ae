"""Pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from detectors.taxonomy import MISALIGNMENT

_ROWS = (
    ("cascade", MISALIGNMENT, "o", "#0b5cad"),
    ("linear baseline", "linear_baseline", "s", "#c2571a"),
    ("length alone", "length_alone", "x", "#777777"),
)


def plot_sets(evaluation: dict[str, Any], path: Path) -> None:
    """AUROC by set, with intervals, beside the baselines. The format follows from the name: .png or .svg."""
    mpl.rcParams["svg.hashsalt"] = "plumbline"  # the same picture has the same bytes
    names = [name for name, result in evaluation["sets"].items() if "auroc" in result[MISALIGNMENT]]
    figure = Figure(figsize=(8, 0.42 * len(names) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.5, color="#bbbbbb", linewidth=1, zorder=0)
    for offset, (label, key, marker, colour) in zip((0.0, 0.18, 0.36), _ROWS, strict=True):
        for row, name in enumerate(names):
            value = evaluation["sets"][name].get(key, {}).get("auroc")
            if value is None:
                continue
            axes.plot([value["low"], value["high"]], [row + offset] * 2, color=colour, linewidth=1.5, alpha=0.6)
            axes.plot(value["value"], row + offset, marker, color=colour, label=label if row == 0 else None)
    axes.set_yticks([row + 0.18 for row in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("AUROC (95 % interval); 0.5 is chance")
    axes.legend(loc="lower left", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def plot_curve(points: list[dict[str, Any]], path: Path, *, x: str, title: str) -> None:
    """Lines of `y` over `x` by `name`, with intervals where points have `low` and `high`."""
    mpl.rcParams["svg.hashsalt"] = "plumbline"
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(point["name"] for point in points):
        mine = [point for point in points if point["name"] == name]
        line = axes.plot([p[x] for p in mine], [p["y"] for p in mine], "o-", label=name)[0]
        if all("low" in p for p in mine):
            axes.fill_between(
                [p[x] for p in mine],
                [p["low"] for p in mine],
                [p["high"] for p in mine],
                alpha=0.12,
                color=line.get_color(),
            )
    axes.set_xlabel(x)
    axes.set_ylabel(title)
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
