"""Trains a logistic regression."""

import training
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

args = training.arguments(__doc__).parse_args()

model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
training.train("logistic", model, args.digits, args.out)
