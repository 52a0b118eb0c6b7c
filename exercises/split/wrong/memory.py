"""Right, and too large: keeps the share of every possible weight in a table, O(largest weight) of memory."""
import sys

cents = int(sys.stdin.readline())
weights = list(map(int, sys.stdin.readline().split()))
if not any(weights):
    weights = [1] * len(weights)
sign, amount = (-1, -cents) if cents < 0 else (1, cents)
total = sum(weights)
table = [None] * (max(weights, default=0) + 1)
for weight in weights:
    table[weight] = divmod(amount * weight, total)
shares = [table[weight][0] for weight in weights]
order = sorted(range(len(weights)), key=lambda rider: -table[weights[rider]][1])
for rider in order[: amount - sum(shares)]:
    shares[rider] += 1
print("\n".join(str(sign * share) for share in shares) if weights else "none")
