"""Datasets as plain values: definitions, names of their files, expressions on columns."""
