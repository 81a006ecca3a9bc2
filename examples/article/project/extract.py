"""Extracts keywords without training: the words of a newsgroup that are rare in the others (tf-idf)."""

import argparse
import json
import pickle
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer

from stepwell import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", required=True, help="pickle of texts and their newsgroups")
parser.add_argument("--output", required=True, help="file to write: a JSON object of newsgroup, word, weight")
args = parser.parse_args()

corpus = pickle.loads(Path(args.input).read_bytes())
names = corpus["target_names"]
texts = [[] for _ in names]
for text, topic in zip(corpus["data"], corpus["target"], strict=True):
    texts[topic].append(text)
tfidf = TfidfVectorizer(stop_words="english")
weights = tfidf.fit_transform(map(" ".join, texts)).toarray().round(6)
words = tfidf.get_feature_names_out()
keywords = {
    name: {word: weight for word, weight in zip(words, row.tolist(), strict=True) if weight}
    for name, row in zip(names, weights, strict=True)
}
Path(args.output).write_text(json.dumps(keywords, indent=1, sort_keys=True) + "\n", encoding="utf-8")

run = Run.get_context()
for name, found in keywords.items():
    run.log(name, len(found))
    print(f"{name}: {len(found)} keywords")
