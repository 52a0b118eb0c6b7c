export function createInspector(element) {
  element.textContent = "";
}
