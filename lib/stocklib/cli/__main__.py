"""``python -m stocklib.cli``."""

from stocklib.cli import main

main()
