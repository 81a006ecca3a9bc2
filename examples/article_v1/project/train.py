"""Counts the words of each newsgroup."""

import argparse
import collections
import json
import os
import pickle

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--input")
parser.add_argument("--output")
args = parser.parse_args()

with open(args.input, "rb") as stream:
    news = pickle.load(stream)
words = collections.defaultdict(collections.Counter)
for text, group in zip(news["data"], news["target"]):
    words[news["target_names"][group]].update(text.lower().split())

Run.get_context().log("groups", len(words))
os.makedirs(args.output, exist_ok=True)
with open(os.path.join(args.output, "words.json"), "w") as stream:
    json.dump(words, stream)
