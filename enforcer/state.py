"""Where this user's state is kept when no settings file says it.

Apart from the settings, so that a command without a settings file need not import them.
"""

import os
from pathlib import Path

SYSTEM_STATE = Path("/var/lib/enforcer")


def default_audit_path() -> Path:
    """Where this user may write: systemd's StateDirectory=, else the XDG state directory."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0]) / "audit.db"
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # XDG base directory specification: a relative one is ignored
        try:
            state = str(Path.home() / ".local" / "state")
        except RuntimeError:  # a user without a home
            return SYSTEM_STATE / "audit.db"
    return Path(state) / "enforcer" / "audit.db"
