"""What the runs of Schemathesis came to: summary.py DOCUMENT TALLY; fails if an operation was never seen to succeed."""

import json
import sys
from collections import Counter, defaultdict

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}

document, tally = json.load(open(sys.argv[1], encoding="utf-8")), sys.argv[2]
operations = {
    operation["operationId"]
    for item in document["paths"].values()
    for method, operation in item.items()
    if method in METHODS
}
succeeded: Counter[str] = Counter()
broken: dict[str, list[str]] = defaultdict(list)
everything = 0
for line in open(tally, encoding="utf-8"):
    run = json.loads(line)
    times, statuses = 0, Counter()
    asked = {answer["operation"] for answer in run["answers"]}
    for answer in run["answers"]:
        times += answer["times"]
        statuses[f"{answer['status'] // 100}xx"] += answer["times"]
        if answer["status"] // 100 == 2:
            succeeded[answer["operation"]] += answer["times"]
    for operation, why in run["broken"].items():
        broken[operation].append(f"{run['role']}: {why}")
    everything += times
    spread = ", ".join(f"{times} × {status}" for status, times in sorted(statuses.items()))
    print(f"  {run['role']:8} {times:6} cases, {len(asked):3} operations: {spread}")

missing = sorted(operations - set(succeeded))
print(f"schemathesis: {everything} cases, {len(succeeded)} of {len(operations)} operations seen to succeed")
for operation in missing:
    print(f"  never succeeded: {operation}; {'; '.join(broken[operation]) or 'it has no scene'}")
sys.exit(1 if missing else 0)
