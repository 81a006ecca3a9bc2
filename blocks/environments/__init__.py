"""Packages of an interpreter; environments asked for, and made."""
