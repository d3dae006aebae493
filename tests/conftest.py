"""What all tests share: how hypothesis runs.

The suite draws the same examples each time, so that it is red for a change and never by chance;
`HYPOTHESIS_PROFILE=long` looks for new ones for minutes, `deep` for an hour."""

import functools
import gc
import os

import httpx
from httpx._transports import default
from hypothesis import HealthCheck, settings

# No deadline: the machine is shared, and a slow example is no wrong one.
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=25)
settings.register_profile("long", settings.get_profile("default"), max_examples=600, derandomize=False)
settings.register_profile("deep", settings.get_profile("default"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))

# httpx reads the machine's certificates for every call that has no client of its own: 40 ms each, in hundreds of tests.
default.create_ssl_context = functools.cache(httpx.create_ssl_context)


def pytest_collection_finish() -> None:
    """What is there now stays until the end: no collection need look at it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


gc.disable()  # until all is collected
