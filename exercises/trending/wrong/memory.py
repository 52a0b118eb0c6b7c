"""Right, and too large: a table of how many requests a zone had until every second, O(zones * time) of memory."""
import sys

numbers = iter(map(int, sys.stdin.read().split()))
k, window, count = next(numbers), next(numbers), next(numbers)
events = []
for _ in range(count):
    events += [(next(numbers), next(numbers)) for _ in range(next(numbers))]
questions = [next(numbers) for _ in range(next(numbers))]
last = max([time for time, _ in events] + questions, default=0)
until = {}
for time, zone in events:
    if zone not in until:
        until[zone] = [0] * (last + 1)
    until[zone][time] += 1
for sums in until.values():
    for second in range(1, last + 1):
        sums[second] += sums[second - 1]
for now in questions:
    before = now - window
    counts = {zone: sums[now] - (sums[before] if before >= 0 else 0) for zone, sums in until.items()}
    best = sorted(((-requests, zone) for zone, requests in counts.items() if requests))[:k]
    print(" ".join(f"{zone}:{-requests}" for requests, zone in best) or "-")
