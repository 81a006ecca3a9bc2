"""Compares both: how many of the commonest words of each newsgroup are its own."""

import argparse
import json
import os

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--comp_data1")
parser.add_argument("--comp_data2")
parser.add_argument("--output_data")
parser.add_argument("--param1", type=int)
args = parser.parse_args()

with open(os.path.join(args.comp_data1, "words.json")) as stream:
    words = json.load(stream)
with open(os.path.join(args.comp_data2, "own.json")) as stream:
    own = json.load(stream)

run = Run.get_context()
shares = {}
for group, counts in sorted(words.items()):
    common = sorted(counts, key=lambda word: (-counts[word], word))[: args.param1]
    shares[group] = sum(own.get(word) == group for word in common) / len(common)
    run.log(group, shares[group])
run.parent.log("compared words", args.param1)

os.makedirs(args.output_data, exist_ok=True)
with open(os.path.join(args.output_data, "shares.json"), "w") as stream:
    json.dump(shares, stream)
