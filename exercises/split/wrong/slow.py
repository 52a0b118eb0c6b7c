"""Right, and slow: looks for the largest remainder anew for every cent that is left, O(n^2)."""
import sys

cents = int(sys.stdin.readline())
weights = list(map(int, sys.stdin.readline().split()))
if not any(weights):
    weights = [1] * len(weights)
sign, amount = (-1, -cents) if cents < 0 else (1, cents)
total = sum(weights)
shares = [amount * weight // total for weight in weights]
remainders = [amount * weight % total for weight in weights]
for _ in range(amount - sum(shares) if weights else 0):
    rider = remainders.index(max(remainders))
    shares[rider] += 1
    remainders[rider] = -1
print("\n".join(str(sign * share) for share in shares) if weights else "none")
