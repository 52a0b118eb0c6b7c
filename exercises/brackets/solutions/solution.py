"""Balanced brackets: one pass with a stack of the open ones.

Time O(n), memory O(depth): a bracket is pushed once and popped once.
"""
import sys

CLOSES = {")": "(", "]": "[", "}": "{"}


def solve(line):
    """Returns what to print for a rule."""
    # Positions and not characters: the answer needs them, and the character is at the position.
    open_at = []
    for position, character in enumerate(line):
        if character in "([{":
            open_at.append(position)
        elif character in CLOSES:
            if not open_at or line[open_at[-1]] != CLOSES[character]:
                return f"wrong at {position + 1}"
            open_at.pop()
    return f"wrong at {open_at[0] + 1}" if open_at else "balanced"


if __name__ == "__main__":
    # Only the end of the line is removed: spaces count.
    print(solve(sys.stdin.readline().rstrip("\n")))
