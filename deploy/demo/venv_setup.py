"""Makes the demo's and the tests' virtual environment (build/venv) from requirements.txt, once."""
import fcntl
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
REQUIREMENTS = os.path.join(HERE, "requirements.txt")


def python_with_requirements(directory=os.path.join(REPO, "build", "venv"),
                             requirements=REQUIREMENTS):
    """Path of an interpreter that can import what the requirements name. Safe to call at once
    from several processes: the first one installs, the others wait."""
    python = os.path.join(directory, "bin", "python")
    stamp = os.path.join(directory, "requirements.installed")
    with open(requirements, encoding="ascii") as f:
        wanted = f.read()
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    with open(directory + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(stamp) and os.path.exists(python):
            with open(stamp, encoding="ascii") as f:
                if f.read() == wanted:
                    return python
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                        "--requirement", requirements], check=True)
        with open(stamp, "w", encoding="ascii") as f:
            f.write(wanted)
    return python


def run_again_with(requirements, name):
    """Replaces this program by itself in the environment build/NAME that has the requirements;
    returns if it runs there already."""
    directory = os.path.join(REPO, "build", name)
    if os.environ.get("SKALD_VENV") != directory:
        python = python_with_requirements(directory, requirements)
        os.environ["SKALD_VENV"] = directory
        os.execv(python, [python] + sys.argv)


if __name__ == "__main__":
    print(python_with_requirements())
