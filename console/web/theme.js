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
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  };
  const apply = () => set(chosen() ?? (dark.matches ? "dark" : "light"));
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
      set(next);
    },
  };
  dark.addEventListener("change", apply);
  // Paper is light: what is light on dark would be light on white.
  const print = window.matchMedia("print");
  let onScreen = null;
  print.addEventListener("change", () => {
    if (print.matches) onScreen = document.documentElement.dataset.theme;
    set(print.matches ? "light" : onScreen);
  });
  apply();
})();
