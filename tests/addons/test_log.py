"""Our log's handlers: whose of mitmproxy's we share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy.addons.errorcheck import ErrorCheck

from addons import log
from addons.settings_model import Logging


@pytest.fixture
def check() -> Iterator[ErrorCheck]:
    check = ErrorCheck()
    yield check
    check.finish()
    for handler in [*log.logger.handlers]:
        log.logger.removeHandler(handler)
    log.logger.propagate = True


def test_errors_are_not_kept_for_ever(check: ErrorCheck) -> None:
    """The handler that watches mitmproxy's start keeps records, and in a traceback of ours is a whole exchange."""
    kept = logging.NullHandler()
    logging.getLogger().addHandler(kept)
    try:
        log.configure(Logging(), Path())
        assert kept in log.logger.handlers and check.logger not in log.logger.handlers
        log.logger.error("a crash")
        assert not check.logger.has_errored
    finally:
        logging.getLogger().removeHandler(kept)
