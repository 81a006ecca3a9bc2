"""Put the models of all regions side by side."""

import argparse
import json
from pathlib import Path

from stepwell import Run

parser = argparse.ArgumentParser()
parser.add_argument("--models", type=Path)
parser.add_argument("--table", type=Path)
options = parser.parse_args()

models = [json.loads(path.read_text()) for path in sorted(options.models.iterdir())]
for model in models:
    print(f"{model['region']:6} {model['slope']:6.2f} per square metre, off by {model['error']:.2f}")
options.table.write_text(json.dumps(models))
Run.get_context().log("worst error", max(model["error"] for model in models))
