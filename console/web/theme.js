// Light or dark: as the system says, until the reader chooses. Runs before the page is drawn, so that nothing flashes.
(() => {
  const KEY = "holdfast-theme";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off
    }
  };
  const apply = () => {
    document.documentElement.dataset.theme = chosen() ?? (dark.matches ? "dark" : "light");
    document.dispatchEvent(new Event("themechange"));
  };
  window.holdfastTheme = {
    toggle() {
      const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      try {
        // Back to what the system says: nothing to remember.
        if (next === (dark.matches ? "dark" : "light")) localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, next);
      } catch {
        // Not remembered, but done.
      }
      document.documentElement.dataset.theme = next;
      document.dispatchEvent(new Event("themechange"));
    },
  };
  dark.addEventListener("change", apply);
  apply();
})();
