"""Conda's packages: the program that installs them, and what pip can stand in for where there is none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from stepwell.errors import UserErrorException

TOOLS = ("micromamba", "mamba", "conda")
DEFAULT_CHANNEL = "conda-forge"

SAME_NAMES = frozenset(
    """
    adlfs attrs beautifulsoup4 bokeh boto3 catboost click cloudpickle cryptography cython dask distributed fastapi flask
    fsspec gensim h5py holidays imbalanced-learn ipykernel ipython jinja2 joblib keras lightgbm lxml matplotlib mlflow
    mlxtend networkx nltk numba numpy onnx openpyxl packaging pandas patsy pillow plotly polars protobuf psutil pyarrow
    pydantic pytest python-dateutil pytz pyyaml requests s3fs scikit-image scikit-learn scipy seaborn shap six spacy
    sqlalchemy statsmodels sympy tensorboard tensorflow tqdm transformers urllib3 xgboost xlrd
    """.split()  # noqa: SIM905  (easier to read and to add to)
)
"""Packages that are the same thing under the same name for conda and for pip."""

_SPECIFICATION = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9._-]+)\s*([=<>!~ ].*)?")


def conda_program() -> str:
    """Return the path of micromamba, mamba or conda, whichever is found first; '' if none is."""
    return next(filter(None, map(shutil.which, TOOLS)), "")


def name_of(specification: str) -> str:
    """Return the name of the package that a specification such as `conda-forge::numpy=1.19` is about."""
    match = _SPECIFICATION.fullmatch(specification.strip())
    return match[1].lower() if match else specification.strip()


def as_pip(specifications: Sequence[str]) -> tuple[str, ...]:
    """Return the packages as requirements for pip; raise UserErrorException if one isn't known to be the same there."""
    unknown = [text for text in specifications if name_of(text) not in SAME_NAMES]
    if unknown:
        raise UserErrorException(
            f"There is neither {', '.join(TOOLS[:-1])} nor {TOOLS[-1]} to install conda packages with",
            {"packages": ", ".join(unknown)},
            "Install micromamba, or ask for these packages among the pip packages, by their names there.",
        )
    return tuple(_translated(text) for text in specifications)


def _translated(specification: str) -> str:
    match = _SPECIFICATION.fullmatch(specification.strip())
    assert match
    version = re.sub(r"\s+", "", match[2] or "")
    if not version:
        return match[1].lower()
    if version.startswith(("<", ">", "!", "~")):
        return match[1].lower() + version
    exact = version.startswith("==")
    number = version.lstrip("=").partition("=")  # a build may stand behind the second sign
    fuzzy = not exact and not number[1] and not number[0].endswith("*")
    return f"{match[1].lower()}=={number[0]}{'.*' if fuzzy else ''}"
