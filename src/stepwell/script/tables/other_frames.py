"""A table as a DataFrame of another library than pandas."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from stepwell.errors import UserErrorException


class OtherFrames:
    """Makes DataFrames of Dask and Spark of a table that pandas reads."""

    checked_by_heirs = True

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null") -> Any:
        """Read the table."""
        raise NotImplementedError

    def to_dask_dataframe(
        self,
        sample_size: int = 10000,
        dtypes: object = None,
        on_error: str = "null",
        out_of_range_datetime: str = "null",
    ) -> Any:
        """Read the table into a DataFrame of Dask.

        Args:
            sample_size: Accepted for v1's sake; not used.
            dtypes: Accepted for v1's sake; not used.
            on_error: As that of `to_pandas_dataframe`.
            out_of_range_datetime: As that of `to_pandas_dataframe`.

        Returns:
            A DataFrame of Dask, of one partition.

        Raises:
            UserErrorException: A library is not installed, or a file can't be read as the definition says.
        """
        frame = self.to_pandas_dataframe(on_error, out_of_range_datetime)
        return _module("dask.dataframe", "dask[dataframe]").from_pandas(frame, npartitions=1)

    def to_spark_dataframe(self) -> Any:
        """Read the table into a DataFrame of the Spark session that there is, or of a new one.

        Returns:
            A DataFrame of Spark.

        Raises:
            UserErrorException: A library is not installed, or a file can't be read as the definition says.
        """
        warnings.filterwarnings("ignore", "PySpark does not yet fully support", FutureWarning)
        session = _module("pyspark.sql", "stepwell[spark]").SparkSession.builder.getOrCreate()
        return session.createDataFrame(self.to_pandas_dataframe())


def _module(name: str, package: str) -> Any:
    """Return a module; raise UserErrorException with what to install if it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserErrorException(
            f"{name} is not installed", {"reason": error}, f"Install it with `pip install '{package}'`."
        ) from error
