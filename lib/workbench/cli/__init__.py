"""``stocks …``, the command line for people, the Makefile and Airflow. Each verb is a few lines around one function.

A heavy import waits until a verb needs it. An error of ours is printed as a sentence, without a traceback; its exit
status is 1, and that of a wrong command line is 2.
"""

from workbench.cli import (  # noqa: F401
    analysis_commands,
    dead_letter_commands,
    ledger_commands,
    powerbi_commands,
    read_commands,
    server_commands,
    stream_commands,
    supervisor_commands,
    symbol_commands,
    warehouse_commands,
)
from workbench.cli.base import main

__all__ = ["main"]
