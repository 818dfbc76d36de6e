"""What a stage is given: the parameters of its job, where its files are, and a place for facts."""

import os


class Job:
    """params -- from the job's file; facts -- filled by the stages."""

    def __init__(self, params, inbox, outbox):
        self.params = params
        self.inbox = inbox
        self.outbox = outbox
        self.facts = {}
        self._made = []

    def given(self, name):
        """Path of an input."""
        return os.path.join(self.inbox, name)

    def made(self, name):
        """Path for an output, listed in the result as soon as it exists."""
        if name not in self._made:
            self._made.append(name)
        return os.path.join(self.outbox, name)

    @property
    def files(self):
        return [name for name in self._made if os.path.exists(os.path.join(self.outbox, name))]
