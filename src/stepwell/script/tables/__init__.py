"""Datasets where their bytes are local: names of files, tables read from them, expressions on columns."""
