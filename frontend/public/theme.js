// Runs before the first paint so that the chosen theme does not flash. Blocking and tiny on purpose.
// @ts-check
(() => {
  const chosen = localStorage.getItem("tidewire.theme") ?? "auto";
  const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
  if (localStorage.getItem("tidewire.nav") === "icons") document.documentElement.dataset.nav = "icons";
})();
