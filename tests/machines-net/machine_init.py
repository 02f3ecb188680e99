"""The first process of a test machine: says that it is up, and buries orphans, as an init does."""
import os
import signal
import sys

# An interpreter's own handlers mean nothing to process 1; the machine is ended from outside with SIGKILL.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
print("up", flush=True)
sys.stdout.close()
while True:
    signal.sigwait({signal.SIGCHLD})
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass
