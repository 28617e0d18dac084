"""Child processes that end with the process that started them, even where that one is killed.

Linux signals a process when its parent has died (prctl PR_SET_PDEATHSIG) if it asks for it. A `preexec_fn` that asks is unsafe
where there are threads, so this file also is a tiny program between the two: it asks, and then becomes the command.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_SECONDS = 10


def bound(command: Sequence[str]) -> list[str]:
    """The command in a form that gets SIGTERM when this process ends in any way. Elsewhere than on Linux: as it is.

    Raises:
        FileNotFoundError: where its program is not there.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]  # -I -S: nothing but the standard library, in 20 ms


@contextlib.contextmanager
def ended_with(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Wait for the process at the end of the block; where the block ends in an exception, end the process first."""
    try:
        yield
    except BaseException:
        end(process)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def end(process: "subprocess.Popen[str]") -> None:
    """SIGTERM, and SIGKILL where that is not enough."""
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _become(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before it could be asked for
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
