// The domain clock (lab).
export function createClock(element) {
  element.textContent = "";
}
