/** Theme and language choices, on every page. The first paint is public/theme.js's; this changes it afterwards. */

const THEME_KEY = "tidewire.theme";
/** A year, in seconds. */
const COOKIE_AGE_S = 31_536_000;

export type Theme = "auto" | "light" | "dark";

const darkSystem = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  const stored = localStorage.getItem(THEME_KEY);
  return stored === "light" || stored === "dark" ? stored : "auto";
}

function show(): void {
  const chosen = theme();
  const dark = chosen === "dark" || (chosen === "auto" && darkSystem.matches);
  document.documentElement.dataset["bsTheme"] = dark ? "dark" : "light";
  document.dispatchEvent(new CustomEvent("tidewire:theme"));
}

export function chooseTheme(chosen: Theme): void {
  localStorage.setItem(THEME_KEY, chosen);
  for (const select of document.querySelectorAll<HTMLSelectElement>('[data-part="theme"]')) select.value = chosen;
  show();
}

/** Wires the theme and language selects below `root`. */
export function wirePreferences(root: ParentNode): void {
  const themes = root.querySelector<HTMLSelectElement>('[data-part="theme"]');
  if (themes !== null) {
    themes.value = theme();
    themes.addEventListener("change", () => chooseTheme(themes.value as Theme));
  }
  darkSystem.addEventListener("change", show);
  const languages = root.querySelector<HTMLSelectElement>('[data-part="language"]');
  languages?.addEventListener("change", () => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing in Firefox and on plain http
    document.cookie = `tidewire_language=${languages.value}; Path=/; Max-Age=${COOKIE_AGE_S}; SameSite=Lax${secure}`;
    location.reload();
  });
}
