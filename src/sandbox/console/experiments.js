// The experiments (lab).
export function createExperiments(element) {
  element.textContent = "";
}
