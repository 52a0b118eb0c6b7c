"""Wrong: skips blank lines until there is text. An empty rule is a blank line, and nothing comes after it."""
import sys

CLOSES = {")": "(", "]": "[", "}": "{"}

line = sys.stdin.readline()
while not line.strip():
    line = sys.stdin.readline()
open_at = []
wrong = None
for position, character in enumerate(line):
    if character in "([{":
        open_at.append(position)
    elif character in CLOSES:
        if not open_at or line[open_at[-1]] != CLOSES[character]:
            wrong = position + 1
            break
        open_at.pop()
if wrong is None and open_at:
    wrong = open_at[0] + 1
print("balanced" if wrong is None else f"wrong at {wrong}")
