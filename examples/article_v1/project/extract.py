"""Extracts the words that only one newsgroup has."""

import argparse
import collections
import json
import os
import pickle

parser = argparse.ArgumentParser()
parser.add_argument("--input")
parser.add_argument("--output")
args = parser.parse_args()

with open(args.input, "rb") as stream:
    news = pickle.load(stream)
groups = collections.defaultdict(set)
for text, group in zip(news["data"], news["target"]):
    for word in text.lower().split():
        groups[word].add(news["target_names"][group])
own = {word: found.pop() for word, found in sorted(groups.items()) if len(found) == 1}

os.makedirs(args.output, exist_ok=True)
with open(os.path.join(args.output, "own.json"), "w") as stream:
    json.dump(own, stream)
