"""Python's search for reference cycles, made rare: a server makes few, and holds much.

By default every few hundred new objects are looked through, and all of them each time
their number has grown by a quarter: with a full DNS cache a pause of many milliseconds
for garbage that is not there. What counting references frees is freed as before.
"""

import gc
from typing import Final

# New objects until the youngest are looked through; and how often that is done until the
# next older ones are.
_YOUNG: Final = 50_000
_MIDDLE, _OLD = 20, 50


def make_collections_rare() -> None:
    """To be called when all is loaded: what is there now is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
