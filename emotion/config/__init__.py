"""The schema of every config, its checks, the command line; nothing is imported before it is asked for."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: The configs: inside an installed wheel, or beside the package in a checkout. Absolute, because a relative
#: ``config_path`` breaks in a wheel and under console scripts.
CONF = next(p for p in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if (p / "train.yaml").is_file())
