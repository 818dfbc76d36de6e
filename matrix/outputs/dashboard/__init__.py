"""The dashboard: a static site made of what the store holds, pages from templates and data as shards.

docs/dashboard.md says how to read and deploy it, and what the data mean.
"""
