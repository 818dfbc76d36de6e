"""Propose rows for releases that the table does not know yet.

`releases` selects new releases, `facts` reads a release's own metadata, `survey` decides what to propose, `additions`
puts it into the table's text, `report` prints it. `index` and `wheels` are the clients of the package index.
"""
