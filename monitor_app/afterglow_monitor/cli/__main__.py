"""`python -m afterglow_monitor.cli` is `afterglow`."""

from afterglow_monitor.cli import main

main()
