"""Trending zones over a sliding window: counts that events enter and leave.

Time O(e log s + q * z) for e events of s servers, q questions and z zones in the window; memory O(e), or O(window) if the events
are read as they come.
"""
import heapq
import sys
from collections import deque


def trending(servers, k, window, questions):
    """Yields the k zones with the most requests for each question, as (zone, count)."""
    # Each server's events are in order of time, so they are merged, not sorted.
    coming = heapq.merge(*servers)
    upcoming = next(coming, None)
    inside, counts = deque(), {}
    for now in questions:
        while upcoming and upcoming[0] <= now:
            inside.append(upcoming)
            counts[upcoming[1]] = counts.get(upcoming[1], 0) + 1
            upcoming = next(coming, None)
        while inside and inside[0][0] <= now - window:
            zone = inside.popleft()[1]
            counts[zone] -= 1
            if counts[zone] == 0:
                # A zone without requests is not in the answer, and takes no memory.
                del counts[zone]
        yield heapq.nsmallest(k, counts.items(), key=lambda entry: (-entry[1], entry[0]))


def main():
    """Reads the servers and the questions, and prints an answer for each question."""
    numbers = iter(map(int, sys.stdin.read().split()))
    k, window, count = next(numbers), next(numbers), next(numbers)
    servers = []
    for _ in range(count):
        servers.append([(next(numbers), next(numbers)) for _ in range(next(numbers))])
    questions = [next(numbers) for _ in range(next(numbers))]
    for best in trending(servers, k, window, questions):
        print(" ".join(f"{zone}:{count}" for zone, count in best) or "-")


if __name__ == "__main__":
    main()
