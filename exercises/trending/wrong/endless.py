"""Wrong: the loop that lets events in does not end when the next event is later than the question."""
import sys

numbers = iter(map(int, sys.stdin.read().split()))
k, window, count = next(numbers), next(numbers), next(numbers)
events = []
for _ in range(count):
    events += [(next(numbers), next(numbers)) for _ in range(next(numbers))]
events.sort()
questions = [next(numbers) for _ in range(next(numbers))]
start = end = 0
counts = {}
for now in questions:
    while end < len(events):
        if events[end][0] <= now:
            counts[events[end][1]] = counts.get(events[end][1], 0) + 1
            end += 1
    while start < end and events[start][0] <= now - window:
        counts[events[start][1]] -= 1
        start += 1
    best = sorted(((-requests, zone) for zone, requests in counts.items() if requests))[:k]
    print(" ".join(f"{zone}:{-requests}" for requests, zone in best) or "-")
