// The request log (lab).
export function createLog(element) {
  element.textContent = "Every call that this page makes will be listed here.";
}
