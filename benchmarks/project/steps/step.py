"""One line of work: a file with a number in it."""

import sys

with open(sys.argv[2], "w") as out:
    out.write(sys.argv[1])
