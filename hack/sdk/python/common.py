"""What the checks of both libraries share."""

import itertools
import json
import os
import sys
import time
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor

base_url = os.environ["LAYERS_BASE_URL"]
root = base_url.removesuffix("/v1")
key = os.environ["LAYERS_KEY"]
provider = os.environ["LAYERS_PROVIDER"]
models = os.environ["LAYERS_MODELS"].split()
parameters = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

numbers = itertools.count()


def maker(model):
    """Whose API a model speaks to."""
    return model.split("/")[1]


def fresh(script):
    """A script that no other check has used."""
    return f"{time.time_ns()}-{os.getpid()}-{next(numbers)} mock:{script}"


def slow():
    """A stream that takes some seconds if nobody ends it."""
    return fresh("text=one two three four five six seven eight nine ten,interval=200ms")


def left(model, prompt):
    """What becomes of a stream whose client has gone: it is ended, or read to its end where the provider bills it."""
    for _ in range(200):
        with urllib.request.urlopen(provider + "/mock/served") as answer:
            found = [s for s in json.load(answer) if s["prompt"] == prompt]
        if found:
            assert found[0]["complete"] == (maker(model) == "gemini"), found
            return
        time.sleep(0.05)
    raise AssertionError("the provider has not served " + prompt)


def run(*checks):
    """Runs each check, for all models at once, and says in order which have passed; all run."""
    failed = False
    with ThreadPoolExecutor(len(models)) as pool:
        for check in checks:
            name = check.__name__.replace("_", " ")
            for model, outcome in [(m, pool.submit(check, m)) for m in models]:
                error = outcome.exception()
                print("failed" if error else "ok", name, maker(model), flush=True)
                if error:
                    failed = True
                    traceback.print_exception(error, file=sys.stderr)
    sys.exit(failed)
