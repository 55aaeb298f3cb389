"""One command for all verbs: ``emotion train ...`` does what ``python -m emotion.train ...`` does.

Only what is needed to find the verb is imported, so that the list of them comes at once.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from emotion import __version__
from emotion.base import exits
from emotion.base.errors import UserError, did_you_mean
from emotion.config import CONF

#: Module of each verb that is not called after its package.
_MODULES = {"live": "emotion.live.__main__", "runs": "emotion.listing"}
#: What verbs without a file in ``conf/`` do; ``emotion/<verb>.py`` says more.
_OWN = {
    "demo": "Label a drawn video, train a small network on drawn faces, label with it: about 5 minutes.",
    "runs": "List runs with status, data, model and scores; emotion runs clean removes failed ones.",
    "doctor": "Check what this machine can do: packages, GPU, codecs, cameras, display, disk.",
    "completion": "Print what a shell needs to complete verbs, keys and runs on Tab: bash, zsh or fish.",
}
#: What others call them, such as the command that labels pictures in a folder.
_SYNONYMS = {
    "label": "live",
    "predict": "live",
    "detect": "live",
    "test": "evaluate",
    "score": "evaluate",
    "fit": "train",
}
#: The order in which a newcomer meets them; any other follows.
_ORDER = ("live", "demo", "collect", "audit", "train", "tune", "evaluate", "compare", "export", "publish", "adopt",
          "serve", "runs", "doctor", "completion")  # fmt: skip


def verbs() -> dict[str, str]:
    """Each verb and what it does, in one line."""
    lines = dict(_OWN)
    for file in CONF.glob("*.yaml"):
        header = re.search(r"^    header: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        lines[file.stem] = header[1].strip(' "') if header else ""
    return {verb: lines[verb] for verb in sorted(lines, key=lambda v: (_ORDER.index(v) if v in _ORDER else 99, v))}


def _help() -> str:
    known = verbs()
    width = max(map(len, known))
    rows = "\n".join(f"  {verb:<{width}}  {line}" for verb, line in known.items())
    return (
        f"emotion {__version__}: train, compare and run facial-expression classifiers.\n\n"
        f"  emotion <verb> key=value ...    the same as python -m emotion.<verb> key=value ...\n"
        f"  emotion <verb> --help           examples, and every key with what it means\n\n{rows}"
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the verb that the command line names, and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    verb = words[0] if words else "--help"
    if verb in ("--help", "-h", "--version"):
        with exits.exit_codes():
            print(__version__ if verb == "--version" else _help())
    known = verbs()
    name = verb.removeprefix("emotion.")
    if name not in known:
        near = did_you_mean(_SYNONYMS.get(name, name), known) or " emotion --help lists them with what they do."
        with exits.exit_codes():
            raise UserError(f"emotion has no command '{verb[:60]}'.{near} There are: {', '.join(known)}")
    sys.argv = [f"emotion {name}", *words[1:]]
    importlib.import_module(_MODULES.get(name, f"emotion.{name}")).main()
    sys.exit(0)


if __name__ == "__main__":
    main()
