"""Right, and slow: removes one adjacent pair after another and starts from the front again, O(n^2)."""
import sys

PAIRS = {"(": ")", "[": "]", "{": "}"}

line = sys.stdin.readline().rstrip("\n")
left = [(position, character) for position, character in enumerate(line) if character in "()[]{}"]
at = 0
while at + 1 < len(left):
    if PAIRS.get(left[at][1]) == left[at + 1][1]:
        del left[at : at + 2]
        at = 0
    else:
        at += 1
if not left:
    print("balanced")
else:
    closing = [position for position, character in left if character in ")]}"]
    print(f"wrong at {(closing[0] if closing else left[0][0]) + 1}")
