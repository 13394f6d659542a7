/**
 * The strips above the page: what is wrong, since when, what to do. A strip is kept while its key stays, so that a
 * countdown moves without stealing the focus from its button. It must not know why a strip is there.
 */
import { element, icon, setText } from "./dom";

export interface BannerAction {
  label: string;
  testid: string;
  /** Either a link or something to run. */
  href?: string;
  run?: () => void;
}

export interface Banner {
  key: string;
  tone: "error" | "warn" | "info";
  /** Announced once by screen readers. */
  title: string;
  /** May change every second; never announced. */
  text: string;
  actions: BannerAction[];
}

const ICONS = { error: "exclamation-octagon-fill", warn: "exclamation-triangle-fill", info: "info-circle" } as const;

interface Strip {
  root: HTMLElement;
  title: HTMLElement;
  text: HTMLElement;
  actions: BannerAction[];
}

export class Banners {
  private readonly strips = new Map<string, Strip>();
  private readonly root: HTMLElement;

  constructor(root: HTMLElement) {
    this.root = root;
  }

  draw(banners: readonly Banner[]): void {
    const wanted = new Set(banners.map((banner) => banner.key));
    for (const [key, strip] of this.strips) {
      if (wanted.has(key)) continue;
      strip.root.remove();
      this.strips.delete(key);
    }
    for (const banner of banners) {
      const strip = this.strips.get(banner.key) ?? this.make(banner);
      setText(strip.title, banner.title);
      setText(strip.text, banner.text);
      strip.actions = banner.actions;
    }
  }

  private make(banner: Banner): Strip {
    const title = element("strong", { role: banner.tone === "error" ? "alert" : "status" });
    const text = element("span");
    const root = element(
      "div",
      { class: "strip", "data-tone": banner.tone, "data-testid": `banner-${banner.key}` },
      icon(ICONS[banner.tone]),
      element("p", {}, title, " ", text),
    );
    const strip: Strip = { root, title, text, actions: banner.actions };
    for (const [i, action] of banner.actions.entries()) {
      const attributes = { class: "btn btn-sm btn-strip", "data-testid": action.testid };
      if (action.href !== undefined) root.append(element("a", { ...attributes, href: action.href }, action.label));
      else {
        const button = element("button", { ...attributes, type: "button" }, action.label);
        button.addEventListener("click", () => strip.actions[i]?.run?.());
        root.append(button);
      }
    }
    this.root.append(root);
    this.strips.set(banner.key, strip);
    return strip;
  }
}
