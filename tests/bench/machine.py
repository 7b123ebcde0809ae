"""What the numbers were measured on. Without it they say nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

from detectors.bundle import Manifest
from services.settings import Settings

_PACKAGES: Final = ("numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "kafka-python", "torch", "transformers")
_LOOK_SECONDS: Final = 2.0


def describe(settings: Settings, manifest: Manifest, kafka_libs: Path | None) -> dict[str, object]:
    """Machine, versions and settings, for the report."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "busy_before_percent": psutil.cpu_percent(interval=_LOOK_SECONDS),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "kafka": next((path.stem for path in kafka_libs.glob("kafka-clients-*.jar")), "unknown")
        if kafka_libs
        else None,
        "bundle": manifest.version,
        "inference_threads": settings.inference_threads,
        "batch_max_records": settings.batch_max_records,
        "inference_batch_windows": settings.inference_batch_windows,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
