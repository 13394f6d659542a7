/**
 * The icon in the tab shows the page's health. The icons are kept as data from the beginning, because the one that says
 * "no server" is needed when no server can be asked for it. It must not know what healthy means.
 */
import type { Tone } from "../state/line-badge";
import { find, setAttribute } from "./dom";

const TONES: readonly Tone[] = ["ok", "warn", "error", "idle"];

const kept = new Map<Tone, string>();

/** Fetches the icons; one that cannot be had is asked for again when it is shown. */
export async function keepIcons(): Promise<void> {
  await Promise.allSettled(
    TONES.map(async (tone) => {
      const answer = await fetch(address(tone));
      if (answer.ok) kept.set(tone, `data:image/svg+xml,${encodeURIComponent(await answer.text())}`);
    }),
  );
}

export function showHealth(tone: Tone): void {
  setAttribute(link(), "href", kept.get(tone) ?? address(tone));
}

function address(tone: Tone): string {
  return `${link().dataset["base"] ?? ""}${tone}.svg`;
}

function link(): HTMLLinkElement {
  return find<HTMLLinkElement>(document, "#favicon");
}
