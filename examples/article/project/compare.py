"""Compares what a newsgroup is about by training and by extraction: the top words that both agree on."""

import argparse
import json
from pathlib import Path

from stepwell import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--comp_data1", required=True, help="folder that train.py wrote")
parser.add_argument("--comp_data2", required=True, help="file that extract.py wrote")
parser.add_argument("--output_data", required=True, help="folder to write: comparison.json")
parser.add_argument("--param1", type=int, default=10, help="number of top words to compare")
args = parser.parse_args()


def top(weights):
    """The heaviest words, ties in alphabetical order."""
    return sorted(weights, key=lambda word: (-weights[word], word))[: args.param1]


trained = json.loads((Path(args.comp_data1) / "likelihoods.json").read_text(encoding="utf-8"))
extracted = json.loads(Path(args.comp_data2).read_text(encoding="utf-8"))
comparison = {}
for topic in sorted(trained):
    agreed = sorted({*top(trained[topic])} & {*top(extracted[topic])})
    comparison[topic] = {"agreed": agreed, "share": round(len(agreed) / args.param1, 3)}
    print(f"{topic}: {len(agreed)} of {args.param1} words: {', '.join(agreed)}")

columns = {"newsgroup": list(comparison), "share": [found["share"] for found in comparison.values()]}
Run.get_context().log_table("agreement", columns)

output = Path(args.output_data)
output.mkdir(parents=True, exist_ok=True)
(output / "comparison.json").write_text(json.dumps(comparison, indent=1, sort_keys=True) + "\n", encoding="utf-8")
