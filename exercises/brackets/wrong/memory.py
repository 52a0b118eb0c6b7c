"""Right, and too large: keeps the stack as it was after every character, O(n * depth) of memory."""
import sys

CLOSES = {")": "(", "]": "[", "}": "{"}

line = sys.stdin.readline().rstrip("\n")
stacks = [[]]
wrong = None
for position, character in enumerate(line):
    stack = stacks[-1]
    if character in "([{":
        stack = stack + [position]
    elif character in CLOSES:
        if not stack or line[stack[-1]] != CLOSES[character]:
            wrong = position + 1
            break
        stack = stack[:-1]
    stacks.append(stack)
if wrong is None and stacks[-1]:
    wrong = stacks[-1][0] + 1
print("balanced" if wrong is None else f"wrong at {wrong}")
