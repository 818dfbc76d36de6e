"""Drift: how a row's lock and verdicts changed between then and now, and what happened on the index meanwhile.

Pure, except for `gather`, which reads the store and asks the index.
"""
