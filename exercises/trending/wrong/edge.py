"""Wrong: takes the k best of each server and adds those up. A zone that is second everywhere is lost."""
import sys
from collections import Counter

numbers = iter(map(int, sys.stdin.read().split()))
k, window, count = next(numbers), next(numbers), next(numbers)
servers = []
for _ in range(count):
    servers.append([(next(numbers), next(numbers)) for _ in range(next(numbers))])
questions = [next(numbers) for _ in range(next(numbers))]


def best_of(counts):
    """Returns the k best."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:k]


for now in questions:
    merged = Counter()
    for server in servers:
        counts = Counter(zone for time, zone in server if now - window < time <= now)
        for zone, requests in best_of(counts):
            merged[zone] += requests
    print(" ".join(f"{zone}:{requests}" for zone, requests in best_of(merged)) or "-")
