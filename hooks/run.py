"""Entry by path, for a clone or a plugin with nothing installed: `python -I -S run.py cold ...`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs 4 ms

from fanout_hooks.__main__ import main  # found by the line above

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
