"""What we call things in an engine, so that they are found again and nobody else's are touched."""

from __future__ import annotations

# The one label everything of ours carries; its value says what kind of thing it is.
LABEL = "torch-tf-matrix"
# Which --state a container or an unfinished image belongs to: another driver's are none of our business.
STATE = "torch-tf-matrix.state"
# On environment images: which lock, which row, which identity.
LOCK = "torch-tf-matrix.lock"
ROW = "torch-tf-matrix.row"
ENVIRONMENT = "torch-tf-matrix.environment"

# Podman puts `localhost/` in front of both.
ENVIRONMENTS = "torch-tf-matrix/env"
ATTEMPTS = "torch-tf-matrix/attempt"

JOB = "job"
ENVIRONMENT_IMAGE = "environment"
STAGE = "stage"


def environment_image(environment_id: str) -> str:
    """The name that makes an image valid: given last, when what is installed equals the lock."""
    return f"{ENVIRONMENTS}:{environment_id[:20]}"


def attempt_image(state: str, environment_id: str) -> str:
    """The name of an image that is still being built or checked by the driver of a state folder."""
    return f"{ATTEMPTS}:{state}-{environment_id[:20]}"
