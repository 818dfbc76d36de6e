"""Releases the table does not know yet, as rows it could have.

`releases` and `wheels` ask the index, `facts` reads what a release says of itself, `survey` decides what to propose,
`edit` puts it into the table's text, `report` says it.
"""
