/**
 * How the page is connected, said in four ways: the pill at the top, its title, the icon in the tab, and words for
 * screen readers. It must not know what the page is connected to.
 */
import type { Tone } from "../state/line-badge";
import { part, setAttribute, setIcon, setText } from "./dom";
import { showHealth } from "./favicon";
import { clock, span, t } from "./text";

/** Times in milliseconds. `downSince` is null while connected and before the first connection. */
export interface LinkLook {
  readonly kind: "live" | "connecting" | "waiting" | "ended";
  readonly downSince: number | null;
  readonly retryAt: number | null;
  readonly offline: boolean;
}

const ICONS = { live: "wifi", connecting: "arrow-repeat", waiting: "wifi-off", ended: "lock" } as const;

export class LinkPill {
  private announced = "";

  /** `healthy`: what the icon in the tab says of a page that is connected. */
  draw(look: LinkLook, healthy: Tone): void {
    const pill = part(document, "live");
    setAttribute(pill, "data-state", look.kind);
    setIcon(part(pill, "live-icon"), ICONS[look.kind]);
    setText(part(pill, "live-word"), words(look));
    setAttribute(pill, "title", look.downSince === null ? null : offlineSince(look.downSince));
    showHealth(look.kind === "live" ? healthy : look.kind === "connecting" ? "idle" : "error");
    this.announce(look);
  }

  /** Tells screen readers once per change, not every second of a countdown. */
  private announce(look: LinkLook): void {
    if (look.kind === "connecting") return;
    const said = look.kind === "waiting" && look.downSince !== null ? offlineSince(look.downSince) : words(look);
    if (said === this.announced) return;
    this.announced = said;
    setText(part(document, "announce"), said);
  }
}

function offlineSince(downSince: number): string {
  return t("live.offline", { time: clock(downSince / 1000) });
}

function words(look: LinkLook): string {
  if (look.kind === "live") return t("live.live");
  if (look.kind === "ended") return t("live.ended");
  // Without a network no attempt can succeed, so a countdown would promise too much.
  if (look.offline && look.downSince !== null) return offlineSince(look.downSince);
  if (look.kind === "connecting") return look.downSince === null ? t("live.connecting") : t("live.retrying");
  const seconds = Math.ceil(((look.retryAt ?? 0) - Date.now()) / 1000);
  return seconds > 0 ? t("live.waiting", { span: span(seconds) }) : t("live.retrying");
}
