"""Peak memory of one job, in a process that has seen others. The framework itself is in the figure."""

import contextlib
import resource


def reset_peak():
    """Forgets the peaks of earlier jobs, where the kernel lets a process do that (Linux, proc(5): clear_refs)."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_mb():
    """Largest resident set since reset_peak(), in MiB; since the process began where that cannot be told."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
