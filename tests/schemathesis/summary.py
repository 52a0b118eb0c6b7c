"""Summarizes the Schemathesis runs: summary.py DOCUMENT TALLY. Fails if an operation never succeeded."""

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
total = 0
for line in open(tally, encoding="utf-8"):
    run = json.loads(line)
    times, statuses = 0, Counter()
    called = {response["operation"] for response in run["responses"]}
    for response in run["responses"]:
        times += response["times"]
        statuses[f"{response['status'] // 100}xx"] += response["times"]
        if response["status"] // 100 == 2:
            succeeded[response["operation"]] += response["times"]
    for operation, why in run["broken"].items():
        broken[operation].append(f"{run['role']}: {why}")
    total += times
    spread = ", ".join(f"{times} × {status}" for status, times in sorted(statuses.items()))
    print(f"  {run['role']:8} {times:6} cases, {len(called):3} operations: {spread}")

missing = sorted(operations - set(succeeded))
print(f"schemathesis: {total} cases, {len(succeeded)} of {len(operations)} operations succeeded")
for operation in missing:
    print(f"  never succeeded: {operation}; {'; '.join(broken[operation]) or 'no scenario'}")
sys.exit(1 if missing else 0)
