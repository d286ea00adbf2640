"""Entry: `python -I -S …/supervisor/__main__.py FOLDER LAUNCH CONFIDENTIAL_FD READY_FD`.

Isolated mode puts nothing of ours on the path, so the folder that holds the package is added: last, so that no file in it
can stand in for a module of the standard library.
"""

import sys

sys.path.append(__file__.rsplit("/", 4)[0])

from marathond.attempt.supervisor.main import main

sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
