/**
 * The frame around every page after login: navigation, clock, time zone, palette, shortcut list.
 * It must not know what a page shows; a page gives it the palette's items and its own shortcuts.
 */
import { startAlertToasts } from "./alert-toasts";
import { element, find, isTyping, part, setAttribute, setHidden, setText } from "./dom";
import { type Item, Palette } from "./palette";
import { chooseTheme, theme, wirePreferences } from "./preferences";
import { tellWholeTexts } from "./whole-text";
import { chooseZone, clock, isZone, t, zone } from "./text";

export interface FrameOptions {
  /** What the palette finds on this page, beside the pages themselves. Asked anew at every opening. */
  items: () => Item[];
  /** Called with every key that nobody else wants; true if it was used. */
  key?: (event: KeyboardEvent) => boolean;
  /** Called when the time zone changed. */
  zoneChanged?: () => void;
  /** Server clock minus this browser's, seconds. */
  clockOffset?: () => number;
}

export function startFrame(options: FrameOptions): void {
  wirePreferences(document);
  wireNavigation();
  wireClock(options);
  wireZones(options);
  startAlertToasts();
  tellWholeTexts();
  const palette = new Palette(find<HTMLDialogElement>(document, "#palette"), () => [
    ...pages(),
    ...actions(),
    ...options.items(),
  ]);
  const help = find<HTMLDialogElement>(document, "#help");
  part(document, "palette-open").addEventListener("click", () => palette.open());
  part(document, "help-open").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (document.querySelector("dialog[open]") === null) palette.open();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    if (event.key === "?") {
      event.preventDefault();
      help.showModal();
    } else if (options.key?.(event) === true) event.preventDefault();
  });
}

function pages(): Item[] {
  const links = [...part(document, "nav").querySelectorAll<HTMLAnchorElement>("ul a")];
  return links.map((link) => ({
    kind: t("palette.kind.page"),
    name: link.textContent?.trim() ?? "",
    run: () => link.click(),
  }));
}

function actions(): Item[] {
  const kind = t("palette.kind.action");
  return [
    { kind, name: t("palette.theme"), run: () => chooseTheme(theme() === "dark" ? "light" : "dark") },
    { kind, name: t("help.title"), run: () => find<HTMLDialogElement>(document, "#help").showModal() },
  ];
}

function wireNavigation(): void {
  const side = part(document, "nav");
  const opener = part<HTMLButtonElement>(document, "nav-open");
  const scrim = part(document, "scrim");
  const main = find(document, ".column-main");
  const fold = part<HTMLButtonElement>(document, "nav-fold");
  const drawer = (open: boolean): void => {
    side.classList.toggle("open", open);
    setHidden(scrim, !open);
    setAttribute(opener, "aria-expanded", String(open));
    main.inert = open;
    if (open) side.querySelector("a")?.focus();
    else if (side.contains(document.activeElement)) opener.focus();
  };
  opener.addEventListener("click", () => drawer(true));
  scrim.addEventListener("click", () => drawer(false));
  side.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !side.classList.contains("open")) return;
    event.preventDefault();
    drawer(false);
    opener.focus();
  });
  matchMedia("(min-width: 768px)").addEventListener("change", () => drawer(false));
  const root = document.documentElement;
  setAttribute(fold, "aria-pressed", String(root.dataset["nav"] === "icons"));
  fold.addEventListener("click", () => {
    const icons = root.dataset["nav"] !== "icons";
    if (icons) root.dataset["nav"] = "icons";
    else delete root.dataset["nav"];
    localStorage.setItem("tidewire.nav", icons ? "icons" : "words");
    setAttribute(fold, "aria-pressed", String(icons));
  });
}

function wireClock(options: FrameOptions): void {
  const face = part(document, "clock");
  const show = (): void => {
    if (!document.hidden) setText(face, clock(Date.now() / 1000 + (options.clockOffset?.() ?? 0)));
  };
  show();
  setInterval(show, 1000);
}

/** Zones that feed operators work in; any other is the browser's own. */
const ZONES = [
  "UTC",
  "America/New_York",
  "America/Chicago",
  "Europe/London",
  "Europe/Berlin",
  "Asia/Tokyo",
  "Asia/Hong_Kong",
];

function wireZones(options: FrameOptions): void {
  const select = part<HTMLSelectElement>(document, "zone");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  select.append(element("option", { value: "" }, t("frame.zone.own", { zone: own })));
  for (const name of ZONES) select.append(element("option", { value: name }, name.replace("_", " ")));
  const stored = localStorage.getItem("tidewire.zone") ?? "";
  select.value = ZONES.includes(stored) ? stored : "";
  const label = part(document, "zone-name");
  const show = (): void => setText(label, zoneLabel());
  select.addEventListener("change", () => {
    chooseZone(isZone(select.value) && select.value !== "" ? select.value : null);
    show();
    options.zoneChanged?.();
  });
  show();
}

/** The zone's short name now, such as EDT or GMT+2. */
function zoneLabel(): string {
  const parts = new Intl.DateTimeFormat("en", { timeZone: zone(), timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((one) => one.type === "timeZoneName")?.value ?? zone();
}
