// Light or dark, set before the first paint: the system's setting, or the choice made here. The only script that is not a module.
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
  };
  apply();
  system.addEventListener("change", apply);
  // The toggle selects the other theme, and follows the system again when both are the same.
  window.toggleTheme = () => {
    const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    if ((other === "dark") === system.matches) localStorage.removeItem("ridematch.theme");
    else localStorage.setItem("ridematch.theme", other);
    apply();
  };
}
