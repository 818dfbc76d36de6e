"""The dashboard: a static site made from the store, with pages from templates and data in shards.

docs/dashboard.md explains how to read and deploy it, and the data.
"""
