// The published streets as the page knows them: the street nearest to a place, and whether the place is in the water. A pin belongs on
// a street, because no car gets into a river.

const METERS_PER_DEGREE = 111_195;
/** A pin this near to a street stays where it is: riders walk out of a building or a park. */
const BESIDE_M = 150;
/** In the water only a bridge counts. */
const BRIDGE_M = 20;
/** A place farther away than this is not in the city. */
const FAR_M = 6000;

let map = null;

/** Takes the published map: a GeoJSON MultiLineString with roads and areas beside it. */
export const knowStreets = (published) => (map = published.coordinates.length > 0 ? published : null);

/** Returns every corner of a street as `{lat, lon}`; an empty list without a map. */
export const corners = () => map?.coordinates.flat().map(([lon, lat]) => ({ lat, lon })) ?? [];

/**
 * Returns where a pin goes: `{place, moved_m, street, isInWater}`. `moved_m` is 0 if it stays. `place` is null if no street is near.
 * Without a map every place is good.
 */
export function onStreet(place) {
  if (!map) return { place, moved_m: 0 };
  const found = nearest(place);
  const isInWater = map.areas?.some(({ kind, ring }) => kind === "water" && isInside(ring, place)) ?? false;
  if (found.apart_m <= (isInWater ? BRIDGE_M : BESIDE_M)) return { place, moved_m: 0 };
  if (found.apart_m > FAR_M) return { place: null, moved_m: 0, isInWater };
  return { place: found.place, moved_m: found.apart_m, street: found.street, isInWater };
}

/** Returns the meters from a place to the nearest street; infinite without a map. */
export const metersToStreet = (place) => (map ? nearest(place).apart_m : Infinity);

function nearest({ lat, lon }) {
  const east = METERS_PER_DEGREE * Math.cos((lat * Math.PI) / 180);
  const [px, py] = [lon * east, lat * METERS_PER_DEGREE];
  let best = { apart_m: Infinity };
  for (const [index, line] of map.coordinates.entries()) {
    for (let i = 1; i < line.length; i++) {
      const [ax, ay] = [line[i - 1][0] * east, line[i - 1][1] * METERS_PER_DEGREE];
      const [dx, dy] = [line[i][0] * east - ax, line[i][1] * METERS_PER_DEGREE - ay];
      const share = Math.max(0, Math.min(1, ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy || 1)));
      const [x, y] = [ax + share * dx, ay + share * dy];
      const apart_m = Math.hypot(px - x, py - y);
      if (apart_m < best.apart_m) best = { apart_m, index, x, y };
    }
  }
  const place = { lat: best.y / METERS_PER_DEGREE, lon: best.x / east };
  return { apart_m: best.apart_m, street: map.roads?.[best.index]?.name ?? null, place };
}

function isInside(ring, { lat, lon }) {
  let inside = false;
  for (let i = 1; i < ring.length; i++) {
    const [[fromLon, fromLat], [toLon, toLat]] = [ring[i - 1], ring[i]];
    if (fromLat > lat !== toLat > lat && fromLon + ((lat - fromLat) / (toLat - fromLat)) * (toLon - fromLon) > lon) inside = !inside;
  }
  return inside;
}
