#!/usr/bin/python3
"""Runs Allotrope on several machines, each a namespace, over a network that misbehaves. Needs root.

  machines_net.py BIN_DIR CASE…         those cases; exit 0 if all hold
  machines_net.py BIN_DIR --all         every case
  machines_net.py --list                their names and what each holds

BIN_DIR has the programs and net_switch. A case that fails leaves its folder, and says which.
"""
import sys
import time
import traceback

from cases import CASES


def main(argv):
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    if argv == ["--list"]:
        for name, function in CASES.items():
            print(f"{name:42} {function.__doc__.splitlines()[0]}")
        return 0
    bin_dir, names = argv[0], argv[1:]
    if names == ["--all"]:
        names = list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown or not names:
        print(f"machines_net.py: no case named {' '.join(unknown) or '(none given)'}; --list names them", file=sys.stderr)
        return 2
    failed = []
    for name in names:
        begin = time.monotonic()
        try:
            CASES[name](bin_dir)
            print(f"ok     {name} ({time.monotonic() - begin:.0f} s)", flush=True)
        except Exception:  # noqa: BLE001: the next case runs all the same
            traceback.print_exc()
            print(f"FAILED {name} ({time.monotonic() - begin:.0f} s)", flush=True)
            failed.append(name)
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
