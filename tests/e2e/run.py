#!/usr/bin/env python3
"""Runs end-to-end tests: run.py --bin DIR [NAME...] (default: all *_e2e.py of this folder).

Makes (once) a virtual environment with the pinned packages of deploy/demo/requirements.txt, then
runs each test in it, one after the other, each with a time limit. Exit code 77 of a test means
that the machine lacks something it needs: reported as skipped.
"""
import argparse
import glob
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPO, "deploy", "demo"))
import venv_setup  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--timeout", type=int, default=300, help="seconds for each test")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    python = venv_setup.python_with_requirements()
    tests = options.names or sorted(
        os.path.basename(p)[:-len("_e2e.py")] for p in glob.glob(os.path.join(HERE, "*_e2e.py")))
    failed, skipped = [], []
    for name in tests:
        started = time.monotonic()
        argv = [python, os.path.join(HERE, name + "_e2e.py"), "--bin", options.bin]
        try:
            code = subprocess.run(argv, timeout=options.timeout, check=False,
                                  env={**os.environ, "SKALD_BIN": options.bin}).returncode
        except subprocess.TimeoutExpired:
            print(f"{name}: no end within {options.timeout} s")
            code = 1
        if code == 77:
            skipped.append(name)
        elif code != 0:
            failed.append(name)
        state = "skipped" if code == 77 else "ok" if code == 0 else "FAILED"
        print(f"e2e {name}: {state} ({time.monotonic() - started:.1f} s)", flush=True)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")
    if skipped and len(skipped) == len(tests):
        sys.exit(77)


if __name__ == "__main__":
    main()
