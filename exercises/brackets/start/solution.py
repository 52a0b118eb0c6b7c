"""Reads the input that statement.md describes, and prints the answer."""
import sys


def solve(text):
    """Returns the output for an input."""
    return "not written yet"


if __name__ == "__main__":
    print(solve(sys.stdin.read()))
