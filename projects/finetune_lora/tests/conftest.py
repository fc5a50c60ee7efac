"""Makes `finetune_fakes` importable: tests folders are not packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
