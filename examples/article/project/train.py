"""Trains a naive Bayes on bags of words: how likely each word is in each newsgroup."""

import argparse
import json
import pickle
from pathlib import Path

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from stepwell import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", required=True, help="pickle of texts and their newsgroups")
parser.add_argument("--output", required=True, help="folder to write: likelihoods.json, scores.json")
args = parser.parse_args()

corpus = pickle.loads(Path(args.input).read_bytes())
words = CountVectorizer(stop_words="english")
bayes = MultinomialNB()
model = make_pipeline(words, bayes)
accuracy = cross_val_score(model, corpus["data"], corpus["target"], cv=5).mean()
model.fit(corpus["data"], corpus["target"])

likelihoods = {
    corpus["target_names"][topic]: dict(zip(words.get_feature_names_out(), scores.round(6).tolist(), strict=True))
    for topic, scores in zip(bayes.classes_, bayes.feature_log_prob_, strict=True)
}
scores = {"accuracy": round(float(accuracy), 6), "texts": len(corpus["data"]), "words": len(words.vocabulary_)}

output = Path(args.output)
output.mkdir(parents=True, exist_ok=True)
(output / "likelihoods.json").write_text(json.dumps(likelihoods, indent=1, sort_keys=True) + "\n", encoding="utf-8")
(output / "scores.json").write_text(json.dumps(scores, indent=1, sort_keys=True) + "\n", encoding="utf-8")

run = Run.get_context()
for name, value in scores.items():
    run.log(name, value)
print(f"naive Bayes on {scores['texts']} texts, {scores['words']} words: accuracy {accuracy:.3f} (5 folds)")
