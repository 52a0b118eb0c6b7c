// Web Mercator: the world is a square with sides of 1, x to the east, y to the south. It preserves angles and ends at 85°.

const LATITUDE_MAX = 85.0511;
const AROUND_M = 40_075_017; // the equator

/** Degrees of longitude to x. Beyond ±180 it continues, so that a map across the antimeridian is contiguous. */
export const toX = (lon) => lon / 360 + 0.5;

/** Degrees of latitude to y. */
export function toY(lat) {
  const kept = Math.max(-LATITUDE_MAX, Math.min(LATITUDE_MAX, lat));
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (kept * Math.PI) / 360)) / (2 * Math.PI);
}

/** x to degrees of longitude, -180 to 180. */
export const toLon = (x) => (x - Math.floor(x)) * 360 - 180;

/** y to degrees of latitude. */
export const toLat = (y) => (Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) * 360) / Math.PI - 90;

/** The x of the same meridian that is nearest to another x. */
export const near = (x, other) => x - Math.round(x - other);

/** Meters on the ground for one unit of the square, at a y. */
export const metersPerUnit = (y) => AROUND_M * Math.cos((toLat(y) * Math.PI) / 180);
