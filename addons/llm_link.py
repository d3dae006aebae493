"""The entry that mitmproxy loads: `mitmdump -s addons/llm_link.py --mode reverse:...`. It sets the path, no more."""

import sys
from pathlib import Path

# mitmproxy puts this folder first on the path, where `import llm_link` would find this very file.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() not in (HERE, HERE.parent))]

from addons.link import Link  # noqa: E402
from addons.rules import Rules  # noqa: E402
from addons.saving import Saver  # noqa: E402
from addons.views import VIEWS  # noqa: E402

rules = Rules()
addons = [Link(rules, VIEWS), rules, Saver()]
