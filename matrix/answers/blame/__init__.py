"""Find the package release that broke a cell, the day it did, and ranges that fix it today.

The search (`search.find_blame`) is a generator: it yields probes (resolve recipes, measure the cell in an environment),
is sent their results, and returns a `Blame`. `runner` answers the probes. It bisects the distinct environments between
a good and a bad day (`bisection`), isolates the culprits among the packages that changed there by delta debugging
(`delta`), and then caps them in today's resolution until the cell matches; a failure that this unmasks is searched for
in the same way (`cure`).
"""
