"""`python -m neocog`: the command line."""

import sys

from neocog.cli import main

sys.exit(main())
