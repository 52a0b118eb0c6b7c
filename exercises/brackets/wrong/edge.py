"""Wrong: one counter for each kind of bracket. It does not know which one was opened last."""
import sys

OPENS, CLOSES = "([{", ")]}"

line = sys.stdin.readline().rstrip("\n")
at = {kind: [] for kind in OPENS}
wrong = None
for position, character in enumerate(line):
    if character in OPENS:
        at[character].append(position)
    elif character in CLOSES:
        kind = OPENS[CLOSES.index(character)]
        if not at[kind]:
            wrong = position + 1
            break
        at[kind].pop()
if wrong is None:
    left = [position for positions in at.values() for position in positions]
    wrong = min(left) + 1 if left else None
print("balanced" if wrong is None else f"wrong at {wrong}")
