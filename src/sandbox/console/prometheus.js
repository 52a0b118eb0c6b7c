// Parses the Prometheus text format: one number per line, with a name and labels.

/** A page of metrics as a map from name to `[{labels, value}]`. */
export function parse(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)/i.exec(line);
    if (!found) continue;
    const [, name, labels = "", value] = found;
    const samples = metrics.get(name) ?? [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]);
    samples.push({ labels: Object.fromEntries(pairs), value: Number(value) });
    metrics.set(name, samples);
  }
  return metrics;
}

/** Returns a histogram's buckets, summed over other labels: `[{le, count}]`, cumulative, in order. */
export function buckets(metrics, name) {
  const counts = new Map();
  for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
    const le = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(le, (counts.get(le) ?? 0) + value);
  }
  return [...counts].map(([le, count]) => ({ le, count })).sort((a, b) => a.le - b.le);
}

/** Returns the difference between two readings of a histogram; the later one if the counters were reset. */
export function between(before, after) {
  if (before.length !== after.length || after.some(({ count }, i) => count < before[i].count)) return after;
  return after.map(({ le, count }, i) => ({ le, count: count - before[i].count }));
}

/** Returns a quantile, interpolated linearly within its bucket as Prometheus does; null without data. */
export function quantile(buckets, q) {
  const total = buckets.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  let below = { le: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= rank) {
      if (bucket.le === Infinity) return below.le;
      const inside = bucket.count - below.count;
      return inside === 0 ? bucket.le : below.le + ((bucket.le - below.le) * (rank - below.count)) / inside;
    }
    below = bucket;
  }
  return below.le;
}
