"""Trains a random forest."""

import training
from sklearn.ensemble import RandomForestClassifier

parser = training.arguments(__doc__)
parser.add_argument("--trees", type=int, default=50, help="size of the forest")
args = parser.parse_args()

training.train("forest", RandomForestClassifier(args.trees, random_state=0), args.digits, args.out)
