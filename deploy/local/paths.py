"""Where the local stack keeps its things: all of it under `.local/`, nothing elsewhere on the
machine.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A second stack, or one on another disk, is a matter of pointing elsewhere.
LOCAL = Path(os.environ.get("BACKBONE_LOCAL_DIR", ROOT / ".local")).resolve()

OPT = LOCAL / "opt"  # installed programs: kept by `reset`
DATA = LOCAL / "data"  # databases, topics, objects, mail: forgotten by `reset`
LOG = LOCAL / "log"
RUN = LOCAL / "run"  # generated configuration and the control socket
SECRETS = LOCAL / "secrets.json"
STACK = LOCAL / "stack.json"
MAILBOX = DATA / "mailbox"


def write_private(path: Path, text: str) -> None:
    """Write `text` so that only this user can read it, and so that a reader sees the old or the new
    file, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
