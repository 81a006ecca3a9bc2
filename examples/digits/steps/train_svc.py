"""Trains a support vector classifier."""

import training
from sklearn.svm import SVC

parser = training.arguments(__doc__)
parser.add_argument("--gamma", type=float, default=0.001, help="how near two images must be to be alike")
args = parser.parse_args()

training.train("svc", SVC(gamma=args.gamma), args.digits, args.out)
