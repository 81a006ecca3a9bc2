"""Data Lake Analytics, as a target that runs U-SQL on this machine."""
