"""Right, and slow: looks at the head of every list for each entry, O(e * k)."""
import sys

first, *lines = sys.stdin.read().split("\n")
count, wanted = map(int, first.split())
shards = []
for line in lines[:count]:
    numbers = list(map(int, line.split()))
    shards.append(list(zip(numbers[1::2], numbers[2::2])))
places = [0] * count
found, seen = [], set()
while len(found) < wanted:
    best = None
    for number, place in enumerate(places):
        if place < len(shards[number]) and (best is None or shards[number][place] < shards[best][places[best]]):
            best = number
    if best is None:
        break
    distance, driver = shards[best][places[best]]
    places[best] += 1
    if driver not in seen:
        seen.add(driver)
        found.append((distance, driver))
print("\n".join(f"{distance} {driver}" for distance, driver in found) if found else "none")
