"""Write down what may be released."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--table", type=Path)
parser.add_argument("--released", type=Path)
options = parser.parse_args()

options.released.write_text(options.table.read_text())
