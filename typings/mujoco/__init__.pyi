# MuJoCo is compiled and has no types of its own. Its Python submodules (mjx, batch) keep theirs.
from typing import Any

def __getattr__(name: str) -> Any: ...
