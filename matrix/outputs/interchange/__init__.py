"""Runs as plain files, so that the history of many machines becomes one.

The files hold facts only: no number of a database, no clock, no order in which something came in. The same facts give
the same bytes, wherever they are written; putting two folders together is a union.
"""
