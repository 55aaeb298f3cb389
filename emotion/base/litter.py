"""What operating systems, clouds and editors leave in folders, which is nobody's data."""

from __future__ import annotations

import re

#: Files: alternate streams of Windows, folder icons of macOS, half a download, an editor's copy, Office's lock.
_FILES = re.compile(
    r"""^\. | ^Icon[\r\n]?$ | :(Zone\.Identifier|\$DATA|com\.apple\.\S+|AFP_\w+|SmartScreen)$ | ~$ | ^~\$ | ^\#.*\#$
    | \.(tmp|temp|bak|swp|part|partial|crdownload|download|icloud|lnk|url|ini|db|db-journal|lock|orig)$""",
    re.VERBOSE | re.IGNORECASE,
)
#: Folders: Synology's and QNAP's thumbnails and bins, archives made by macOS, the bins of Windows and Linux.
_FOLDERS = re.compile(
    r"""^\. | ^@(eaDir|Recycle|Recently-Snapshot|tmp|__thumb|SynoEAStream)$ | ^\#(recycle|snapshot)$ | ^__MACOSX$
    | ^\$RECYCLE\.BIN$ | ^System\ Volume\ Information$ | ^lost\+found$ | ^__pycache__$ | ^RECYCLER$ | \.tmp$""",
    re.VERBOSE | re.IGNORECASE,
)


def is_litter(name: str, *, folder: bool = False) -> bool:
    """Whether a file (or folder) of this name is none of the user's own."""
    return bool((_FOLDERS if folder else _FILES).search(name))
