"""Right, and slow: counts the window anew for every question, O(q * e)."""
import sys

numbers = iter(map(int, sys.stdin.read().split()))
k, window, count = next(numbers), next(numbers), next(numbers)
events = []
for _ in range(count):
    events += [(next(numbers), next(numbers)) for _ in range(next(numbers))]
questions = [next(numbers) for _ in range(next(numbers))]
for now in questions:
    counts = {}
    for time, zone in events:
        if now - window < time <= now:
            counts[zone] = counts.get(zone, 0) + 1
    best = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:k]
    print(" ".join(f"{zone}:{requests}" for zone, requests in best) or "-")
