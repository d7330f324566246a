"""The real command, told that Meta's Graph API is at ``TESTS_GRAPH_URL``: everything else is the server as it is."""

import functools
import os

from whatsync.cli.app import main
from whatsync.compose.places import Outside

if __name__ == "__main__":
    Outside.__init__ = functools.partialmethod(Outside.__init__, graph_url=os.environ["TESTS_GRAPH_URL"])  # type: ignore[assignment]
    main()
