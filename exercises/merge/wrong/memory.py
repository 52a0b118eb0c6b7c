"""Right, and too large: a table with a place for every distance, O(largest distance) of memory."""
import sys

first, *lines = sys.stdin.read().split("\n")
count, wanted = map(int, first.split())
entries = []
for line in lines[:count]:
    numbers = list(map(int, line.split()))
    entries += zip(numbers[1::2], numbers[2::2])
table = [None] * (max((distance for distance, _ in entries), default=0) + 1)
for distance, driver in entries:
    if table[distance] is None:
        table[distance] = []
    table[distance].append(driver)
found, seen = [], set()
for distance, drivers in enumerate(table):
    for driver in sorted(drivers or []):
        if driver not in seen and len(found) < wanted:
            seen.add(driver)
            found.append((distance, driver))
print("\n".join(f"{distance} {driver}" for distance, driver in found) if found else "none")
