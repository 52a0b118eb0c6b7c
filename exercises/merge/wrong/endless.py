"""Wrong: goes on until it has as many drivers as wanted, also when there are fewer."""
import heapq
import sys

first, *lines = sys.stdin.read().split("\n")
count, wanted = map(int, first.split())
heads = []
shards = []
for number, line in enumerate(lines[:count]):
    numbers = list(map(int, line.split()))
    shards.append(list(zip(numbers[1::2], numbers[2::2])))
    if shards[number]:
        heapq.heappush(heads, (*shards[number][0], number, 0))
found, seen = [], set()
while len(found) < wanted:
    if not heads:
        continue
    distance, driver, number, place = heapq.heappop(heads)
    if place + 1 < len(shards[number]):
        heapq.heappush(heads, (*shards[number][place + 1], number, place + 1))
    if driver not in seen:
        seen.add(driver)
        found.append((distance, driver))
print("\n".join(f"{distance} {driver}" for distance, driver in found))
