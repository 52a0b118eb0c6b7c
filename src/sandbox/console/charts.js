// The charts (live).
export function createCharts(element) {
  element.textContent = "";
}
