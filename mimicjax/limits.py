"""How large, how deep and how far what comes from files may be. What users have is far below; what is beyond is refused unread.

So that no file of under 10 MB takes more than 2 GB or 10 s, whatever it claims or unpacks to.
"""

from __future__ import annotations

MOTION_BYTES = 2**30  # of a motion's file
UNPACKED_BYTES = 2**28  # what an archive unpacks to: of float32 with 36 columns, five hours at 100 frames per second
NUMBERS = 2**25  # of a motion; a few bytes of a pickle can stand for very long lists
FPS = (0.1, 1e4)  # frames per second
COORDINATE = 1e6  # m or rad, either side of 0
WEIGHT = 1e9  # of a clip in a set

YAML_BYTES = 2**22
YAML_NODES = 100_000  # an alias counts as all that it stands for, each time it is met
YAML_DEPTH = 60

XML_BYTES = 2**25  # of an MJCF with all that it includes
XML_ELEMENTS = 10_000  # what replicate and composite make of one counts, too
XML_CELLS = 2**24  # texels of a texture, points of a height field
