"""Tokens: who may call the endpoint."""
