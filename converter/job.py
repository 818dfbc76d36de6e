"""The job as a stage sees it: parameters, paths of its files, and facts to fill in."""

import os


class Job:
    """params -- from the job's file; facts -- filled in by the stages."""

    def __init__(self, params, inbox, outbox):
        self.params = params
        self.inbox = inbox
        self.outbox = outbox
        self.facts = {}
        self._made = []

    def given(self, name):
        """Return the path of an input file."""
        return os.path.join(self.inbox, name)

    def made(self, name):
        """Return the path for an output file; the result lists it as soon as it exists."""
        if name not in self._made:
            self._made.append(name)
        return os.path.join(self.outbox, name)

    @property
    def files(self):
        return [name for name in self._made if os.path.exists(os.path.join(self.outbox, name))]
