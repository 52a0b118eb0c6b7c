"""A fare split by the method of the largest remainder.

Time O(n log n) for the order of the remainders, memory O(n).
"""
import sys


def split(cents, weights):
    """Returns the share of each rider in cents. The shares sum to `cents`."""
    if not any(weights):
        # All rode 0 m: the sum is 0, and there is nothing to be in proportion to.
        weights = [1] * len(weights)
    sign, amount = (-1, -cents) if cents < 0 else (1, cents)
    total = sum(weights)
    shares, remainders = [], []
    for weight in weights:
        share, remainder = divmod(amount * weight, total)
        shares.append(share)
        remainders.append(remainder)
    # The sort is stable: of equal remainders, the earlier rider comes first.
    order = sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)
    for rider in order[: amount - sum(shares)]:
        shares[rider] += 1
    return [sign * share for share in shares]


def main():
    """Reads the amount and the weights, and prints the shares."""
    cents = int(sys.stdin.readline())
    weights = list(map(int, sys.stdin.readline().split()))
    print("\n".join(map(str, split(cents, weights))) if weights else "none")


if __name__ == "__main__":
    main()
