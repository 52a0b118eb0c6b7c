// Gestures for the map: pointer, wheel, two fingers and keys. It reports distances, factors and points only.
//
//   onPan(dx, dy)          pixels
//   onZoom(factor, x, y)   around a point of the canvas
//   onTap(x, y, kind)      a click, not a drag, by "mouse", "touch" or "pen"
//   onEnter()              Enter: the center of the canvas
//   onHover(x, y)          the pointer rests on a point, or null

const SLOP_PX = 5; // a finger that moves less than this has tapped
const KEY_STEP_PX = 60;
const KEY_ZOOM = 1.5;
const WHEEL = 0.0016; // zoom per pixel that a wheel reports, as an exponent
const LINE_PX = 16; // some wheels report lines

export function listen(canvas, { onPan, onZoom, onTap, onEnter, onHover }) {
  const fingers = new Map();
  let traveled = 0;

  const spread = () => {
    const [a, b] = [...fingers.values()];
    return b ? { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) } : { ...a, apart: 0 };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 0) traveled = 0;
    if (fingers.size < 2) fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) {
      if (event.pointerType === "mouse") onHover(event.offsetX, event.offsetY);
      return;
    }
    const before = spread();
    fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    const after = spread();
    traveled += Math.hypot(after.x - before.x, after.y - before.y) + Math.abs(after.apart - before.apart);
    if (traveled < SLOP_PX) return;
    onPan(after.x - before.x, after.y - before.y);
    if (before.apart > 0 && after.apart > 0) onZoom(after.apart / before.apart, after.x, after.y);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (fingers.size === 0 && traveled < SLOP_PX) onTap(event.offsetX, event.offsetY, event.pointerType);
  });
  canvas.addEventListener("pointercancel", (event) => {
    fingers.delete(event.pointerId);
    traveled = SLOP_PX;
  });
  canvas.addEventListener("pointerleave", () => onHover(null));

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1;
      onZoom(Math.exp(-event.deltaY * unit * WHEEL), event.offsetX, event.offsetY);
    },
    { passive: false },
  );

  const middle = (factor) => onZoom(factor, canvas.clientWidth / 2, canvas.clientHeight / 2);
  const keys = {
    ArrowLeft: () => onPan(KEY_STEP_PX, 0),
    ArrowRight: () => onPan(-KEY_STEP_PX, 0),
    ArrowUp: () => onPan(0, KEY_STEP_PX),
    ArrowDown: () => onPan(0, -KEY_STEP_PX),
    "+": () => middle(KEY_ZOOM),
    "=": () => middle(KEY_ZOOM),
    "-": () => middle(1 / KEY_ZOOM),
    Enter: onEnter,
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}
