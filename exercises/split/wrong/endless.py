"""Wrong: deals the cents that are left to riders with a weight. If none has one, they are never dealt."""
import sys

cents = int(sys.stdin.readline())
weights = list(map(int, sys.stdin.readline().split()))
sign, amount = (-1, -cents) if cents < 0 else (1, cents)
total = max(1, sum(weights))
shares = [amount * weight // total for weight in weights]
remainders = [amount * weight % total for weight in weights]
order = sorted(range(len(weights)), key=lambda rider: -remainders[rider])
left = amount - sum(shares)
while left > 0:
    for rider in order:
        if weights[rider] > 0 and left > 0:
            shares[rider] += 1
            left -= 1
print("\n".join(str(sign * share) for share in shares) if weights else "none")
