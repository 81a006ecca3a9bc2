"""Datasets where their bytes are local: tables read from files, types of columns, operations on rows."""
