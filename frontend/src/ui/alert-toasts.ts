/**
 * Alerts that fire while somebody looks at another page: strips above it, until they are over or dismissed, on whatever page
 * of the same tab. They are asked for every few seconds, and at once if the page's own connection to the hub tells of one:
 * no page opens a connection for them. It must not know the page. Only who may see alerts has a place for them.
 */
import type { Problem } from "../socket/admin-api";
import { onAlertNote } from "../socket/alert-notes";
import { type AdminAlert, AlertsChannel } from "../socket/alerts-channel";
import { type AlertRow, listAlerts } from "../socket/alerts-api";
import { hubUrl } from "../socket/market-channel";
import { dismiss, newFiring, readKept, takeOpen } from "../state/firing";
import { messageOf } from "./alert-words";
import { type Banner, Banners } from "./banners";
import { followNetwork } from "./network";
import { ENDED, Poller } from "./poller";
import { clock, count, t, translated, word } from "./text";

/** More strips than this hide the page; the others are on the page of alerts. */
const SHOWN = 3;
const EVERY_MS = 3_000;
/** More than are shown: dismissed ones and those from before are among them. */
const QUESTION = new URLSearchParams({ view: "open", descending: "true", limit: "20" });
const KEPT = "tidewire.alerts";

class Toasts {
  private readonly banners: Banners;
  private firing = newFiring(readKept(sessionStorage.getItem(KEPT)));
  private readonly hidden = new Set<string>();

  constructor(root: HTMLElement) {
    this.banners = new Banners(root);
  }

  async ask(): Promise<Problem | null> {
    const reply = await listAlerts(QUESTION);
    if (!reply.ok) return reply.problem;
    this.firing = takeOpen(this.firing, reply.value);
    this.keep();
    return null;
  }

  private keep(): void {
    sessionStorage.setItem(KEPT, JSON.stringify(this.firing.kept));
    this.draw();
  }

  private opened(alert: AlertRow): Banner {
    const tone = alert.severity === "critical" || alert.severity === "high" ? "error" : "warn";
    const title = `${word("alerts.severity", alert.severity)}: ${titleOf(alert)}`;
    return this.banner(`alert-${alert.id}`, tone, title, messageOf(alert), () => {
      this.firing = dismiss(this.firing, alert.id);
      this.keep();
    });
  }

  private banner(key: string, tone: Banner["tone"], title: string, text: string, run: () => void): Banner {
    return {
      key,
      tone,
      title,
      text,
      actions: [
        { label: t("alerts.look"), testid: "alert-look", href: "/admin/alerts" },
        { label: t("banner.dismiss"), testid: "alert-dismiss", run },
      ],
    };
  }

  private hide(key: string): void {
    this.hidden.add(key);
    this.draw();
  }

  private draw(): void {
    const { alerts, heldBack, open, unwatchedSince } = this.firing;
    const shown = alerts.map((alert) => this.opened(alert));
    if (heldBack > 0) {
      const key = `alerts-held-back-${heldBack}`;
      const title = t("alerts.held_back", { count: count(heldBack), open: count(open) });
      shown.push(this.banner(key, "warn", title, "", () => this.hide(key)));
    }
    if (unwatchedSince !== null) {
      const key = `alerts-unwatched-${unwatchedSince}`;
      const title = t("alerts.nobody", { time: clock(unwatchedSince) });
      shown.push(this.banner(key, "error", title, t("alerts.nobody.action"), () => this.hide(key)));
    }
    this.banners.draw(shown.filter((one) => !this.hidden.has(one.key)).slice(-SHOWN));
  }
}

/** What an alert is called. */
export function titleOf(alert: Pick<AlertRow, "rule" | "name" | "group">): string {
  const name = translated(`rule.name.${alert.rule}`, alert.name);
  return alert.group === "" ? name : `${name} (${alert.group})`;
}

/** Begins to ask if the page has a place for it. */
export function startAlertToasts(): void {
  const root = document.querySelector<HTMLElement>('[data-part="alert-toasts"]');
  if (root === null) return;
  const toasts = new Toasts(root);
  const poller = new Poller(
    () => toasts.ask(),
    () => undefined,
    EVERY_MS,
  );
  onAlertNote(() => poller.now());
  document.addEventListener(ENDED, () => poller.pause(true));
  poller.start();
}

/** Calls `heard` with every alert, as long as the page lives. */
export function followAlerts(heard: (alert: AdminAlert) => void): void {
  const channel = new AlertsChannel(hubUrl(location), heard);
  followNetwork(channel, () => undefined);
  channel.open();
}
