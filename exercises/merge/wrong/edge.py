"""Wrong: a driver that two shards know is taken twice."""
import heapq
import sys

first, *lines = sys.stdin.read().split("\n")
count, wanted = map(int, first.split())
shards = []
for line in lines[:count]:
    numbers = list(map(int, line.split()))
    shards.append(list(zip(numbers[1::2], numbers[2::2])))
found = []
for entry in heapq.merge(*shards):
    if len(found) == wanted:
        break
    found.append(entry)
print("\n".join(f"{distance} {driver}" for distance, driver in found) if found else "none")
