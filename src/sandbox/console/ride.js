export function createRide(element) {
  element.textContent = "Click the map where you are, then where you want to go.";
  return { click() {} };
}
