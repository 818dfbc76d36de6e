"""Runs as plain files, so that the histories of many machines become one.

The files hold facts only: no numbers of a database, no clock, no order of arrival. The same facts give the same bytes
on every machine; merging folders is a union.
"""
