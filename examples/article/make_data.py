"""Makes data/20news.pkl, a stand-in for the article's 20 newsgroups.

The real set has to be downloaded. This one is built from data/corpus.txt: forty sentences written for this example, ten
for each of four newsgroups. The pickle has the shape of scikit-learn's `fetch_20newsgroups`, so to use the real texts,
pickle `dict(fetch_20newsgroups(remove=("headers", "footers", "quotes")))` instead.
"""

import pickle
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"


def make_data(target=DATA / "20news.pkl"):
    """Writes the pickle unless it stands there already; equal bytes every time."""
    lines = (DATA / "corpus.txt").read_text(encoding="utf-8").splitlines()
    topics, texts = zip(*(line.split("\t") for line in lines), strict=True)
    names = sorted(set(topics))
    corpus = {"data": list(texts), "target": [names.index(topic) for topic in topics], "target_names": names}
    content = pickle.dumps(corpus, protocol=4)
    if not target.exists() or target.read_bytes() != content:
        target.write_bytes(content)


if __name__ == "__main__":
    make_data()
