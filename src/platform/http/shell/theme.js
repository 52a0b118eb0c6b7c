// Light or dark, set before the first paint: the system's setting, or the choice made here. Not a module, so that it runs at once.
"use strict";
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem("ridematch.theme");
  const apply = () => {
    const theme = chosen() ?? (system.matches ? "dark" : "light");
    if (document.documentElement.dataset.theme !== theme) {
      document.documentElement.dataset.theme = theme;
      document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
    }
    document.getElementById("theme")?.setAttribute("aria-pressed", theme === "dark");
  };
  apply();
  system.addEventListener("change", apply);
  // The toggle selects the other theme, and follows the system again when both are the same.
  const toggle = () => {
    const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    if ((other === "dark") === system.matches) localStorage.removeItem("ridematch.theme");
    else localStorage.setItem("ridematch.theme", other);
    apply();
  };
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", toggle);
  });
}
