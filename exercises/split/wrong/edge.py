"""Wrong: divides by the sum of the weights, which may be 0."""
import sys

cents = int(sys.stdin.readline())
weights = list(map(int, sys.stdin.readline().split()))
sign, amount = (-1, -cents) if cents < 0 else (1, cents)
total = sum(weights)
shares = [amount * weight // total for weight in weights]
remainders = [amount * weight % total for weight in weights]
order = sorted(range(len(weights)), key=lambda rider: -remainders[rider])
for rider in order[: amount - sum(shares)]:
    shares[rider] += 1
print("\n".join(str(sign * share) for share in shares) if weights else "none")
