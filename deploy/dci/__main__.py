"""`python -m deploy.dci`: the command `dci` of the router's image."""

import sys

from deploy.dci.command import main

sys.exit(main())
