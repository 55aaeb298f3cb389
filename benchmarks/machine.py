"""The line about the machine and its software that every benchmark prints first."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from emotion.base import devices

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "opencv-python", "opencv-python-headless", "numpy")


def describe() -> str:
    """Processor, usable cores, load (how busy others keep it), versions; imports none of the packages."""
    versions = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {devices.cores()} cores{load}; {', '.join(versions)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
