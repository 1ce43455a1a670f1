"""Run the client's wheel under every CPython found, each in an environment of its own, against a live server.

    python src/client/tests/sweep.py [--python PATH ...] [--target HOST:PORT --token-file FILE] [--json PATH]

Interpreters are those of pyenv from 3.7 on, unless named. Without --target a server is started with `probescout serve`
of this interpreter's environment. Prints one JSON object: which were tried, with which grpcio and protobuf, and how it
went; exits 1 when one failed or none was found. Needs the package index for grpcio and protobuf.
"""

import argparse
import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

CLIENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEWEST_TRIED = (3, 14)
SCRIPT = """
import json, math, sys
import probescout_client as ps

target, token_file, outbox, name = sys.argv[1:]
image = [[math.sin(0.7 * row) + math.cos(0.4 * column) for column in range(16)] for row in range(16)]
energy = [0.5 * i for i in range(40)]
with ps.connect(target, token_file=token_file, outbox=outbox) as planner:
    run = planner.start(image, pixel_size=(0.4, "nm"), sample=name, scalarizer="band_sum",
                        params={"low": 5.0, "high": 8.0}, budget=6, n_initial=4, deep=False)
    for point in run:
        spectrum = [int(100 * (2 + math.sin(5 * point.y) * math.exp(-(e - 6.5) ** 2))) for e in energy]
        run.tell(point, spectrum, axis=(energy, "eV"), unit="counts", counts=True)
    kept = list(run.observations())
    maps = run.maps(["mean"])
    run.stop("done")
import google.protobuf, grpc
print(json.dumps({"grpcio": grpc.__version__, "protobuf": google.protobuf.__version__, "n_observations": len(kept),
                  "stop": run.stop_report.cause, "map_shape": maps["mean"].shape}))
"""


def interpreters():
    """Return the python executables of pyenv from 3.7 to the newest tried, oldest first."""
    found = []
    for python in glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python")):
        version = python.split(os.sep)[-3]
        parts = version.split(".")
        if parts[1].isdigit() and (3, 7) <= (3, int(parts[1])) <= NEWEST_TRIED:
            found.append(((int(parts[1]), version), python))
    return [python for _, python in sorted(found)]


@contextlib.contextmanager
def serving(folder):
    """Run a server of this environment; yield (target, token file)."""
    command = [os.path.join(os.path.dirname(sys.executable), "probescout"), "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command + ["--data", folder], stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            yield ready["grpc"], ready["token_file"]
        finally:
            process.terminate()


def built_wheel(folder):
    """Build the client's wheel and return its path."""
    # A copy, because setuptools leaves a build folder beside the source.
    source = os.path.join(folder, "source")
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("tests", "build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit("the wheel could not be built:\n" + done.stdout)
    return glob.glob(os.path.join(folder, "*.whl"))[0]


def tried(python, wheel, target, token_file, folder):
    """Install the wheel for one interpreter, run the script, and return the outcome."""
    name = os.path.basename(os.path.dirname(os.path.dirname(python)))
    home = os.path.join(folder, "env-" + name)
    outcome = {"python": name, "executable": python, "ok": False}
    script = os.path.join(folder, "script.py")
    with open(script, "w") as file:
        file.write(SCRIPT)
    own = os.path.join(home, "Scripts" if os.name == "nt" else "bin", "python")
    steps = [
        [python, "-m", "venv", home],
        [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", wheel],
        [own, "-W", "error", script, target, token_file, os.path.join(folder, "outbox"), "sweep-" + name],
    ]
    for step in steps:
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        if done.returncode != 0:
            outcome["failed_at"] = " ".join(step[1:4])
            outcome["error"] = done.stderr.strip()[-800:]
            return outcome
    outcome.update(json.loads(done.stdout.strip().splitlines()[-1]))
    outcome["ok"] = outcome["n_observations"] == 6 and outcome["map_shape"] == [16, 16]
    return outcome


def main():
    """Sweep and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", help="an interpreter to try; may be repeated")
    parser.add_argument("--target", help="a server that runs already")
    parser.add_argument("--token-file", help="its token file")
    parser.add_argument("--json", help="also write the result here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder, contextlib.ExitStack() as stack:
        if options.target:
            target, token_file = options.target, options.token_file
        else:
            target, token_file = stack.enter_context(serving(os.path.join(folder, "data")))
        wheel = built_wheel(folder)
        results = [tried(python, wheel, target, token_file, folder) for python in options.python or interpreters()]
    summary = {
        "n_ok": sum(r["ok"] for r in results),
        "wheel": os.path.basename(wheel),
        "tried": [r["python"] for r in results],
        "results": results,
    }
    text = json.dumps(summary, indent=1)
    print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text + "\n")
    return 0 if results and all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
