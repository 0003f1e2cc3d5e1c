"""`python -m tests.soak`: see frame.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # as pytest does: what the tests have is imported from there
import conftest  # noqa: F401  (torch on one thread, and made ready for Lightning)

from soak.frame import main

if __name__ == "__main__":
    sys.exit(main())
