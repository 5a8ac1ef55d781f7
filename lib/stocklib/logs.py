"""What a process of ours logs, and how: our own words in full, those of the libraries only when something is wrong."""

import logging
from typing import TextIO

# kafka-python reports as errors what its callers handle
_NOISY = {"kafka": logging.CRITICAL} | dict.fromkeys(
    ("botocore", "aiobotocore", "s3fs", "urllib3", "papermill", "asyncio", "dbt"), logging.WARNING
)


def write_log(stream: TextIO, *, level: str) -> None:
    """Log to a stream from ``level`` on; at DEBUG the libraries have their say too."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=stream)
    if level != "DEBUG":
        for name, quiet in _NOISY.items():
            logging.getLogger(name).setLevel(quiet)
