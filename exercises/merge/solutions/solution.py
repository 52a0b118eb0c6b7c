"""Merging k sorted lists: a heap with the head of each list.

Time O(k + e log k) for e entries taken, memory O(k) beside the input. Only the entries that are needed are looked at.
"""
import heapq
import sys


def nearest(shards, wanted):
    """Returns the `wanted` nearest drivers of all shards as (distance, driver), each driver once."""
    # (distance, driver, shard, place in the shard): tuples compare from the left, so equal distances are in order of the driver.
    heads = [(shard[0][0], shard[0][1], number, 0) for number, shard in enumerate(shards) if shard]
    heapq.heapify(heads)
    found, seen = [], set()
    while heads and len(found) < wanted:
        distance, driver, number, place = heads[0]
        if driver not in seen:
            seen.add(driver)
            found.append((distance, driver))
        place += 1
        if place < len(shards[number]):
            # One step instead of a pop and a push.
            heapq.heapreplace(heads, (*shards[number][place], number, place))
        else:
            heapq.heappop(heads)
    return found


def main():
    """Reads all shards and prints the nearest drivers."""
    first, *lines = sys.stdin.read().split("\n")
    count, wanted = map(int, first.split())
    shards = []
    for line in lines[:count]:
        numbers = list(map(int, line.split()))
        shards.append(list(zip(numbers[1::2], numbers[2::2])))
    found = nearest(shards, wanted)
    print("\n".join(f"{distance} {driver}" for distance, driver in found) if found else "none")


if __name__ == "__main__":
    main()
