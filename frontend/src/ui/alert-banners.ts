/** Gives the page's alerts their words and buttons. It must not know the socket; it is handed what to run. */
import type { Alert } from "../state/alerts";
import type { Banner } from "./banners";
import { reconnectingBanner } from "./link-banners";
import { problemRest, problemTitle } from "./problem-words";
import { ago, clock, count, t, word } from "./text";

export interface BannerRuns {
  retry: () => void;
  resumeFeed: () => void;
  dismissNotice: (code: string) => void;
  dismissBusErrors: () => void;
  loginUrl: string;
  canControlFeed: boolean;
  /** Server time, Unix seconds. */
  now: number;
  /** This browser's time, Unix seconds; the link's own times are in it. */
  here: number;
}

export function toBanner(alert: Alert, runs: BannerRuns): Banner {
  switch (alert.kind) {
    case "ended": {
      const forbidden = alert.error.code === "forbidden" || alert.error.code === "permission_denied";
      return {
        key: "ended",
        tone: "error",
        title: forbidden ? t("banner.forbidden") : t("banner.ended"),
        text: forbidden ? problemRest(alert.error) : t("banner.ended.action"),
        actions: [{ label: t("banner.login"), testid: "login-again", href: runs.loginUrl }],
      };
    }
    case "reconnecting":
      return reconnectingBanner(alert.since, alert.retryAt, runs.here, runs.retry);
    case "broker": {
      const { part, reach } = alert.trouble;
      return {
        key: "broker",
        tone: reach.state === "down" ? "error" : "warn",
        title: t(reach.state === "down" ? "banner.broker.down" : "banner.broker.degraded", {
          part: word("reach", part),
          time: clock(reach.since),
        }),
        text: [
          `${ago(runs.now - reach.since)}.`,
          reach.circuit === null ? `${reach.reason}.` : `${reach.reason} (${word("circuit", reach.circuit)}).`,
          t(reach.state === "down" ? "banner.broker.down.action" : "banner.broker.degraded.action"),
        ].join(" "),
        actions: [],
      };
    }
    case "node": {
      const { node, trouble } = alert;
      return {
        key: `node-${node.instance}`,
        tone: "warn",
        title: node.overdue
          ? t("banner.node.overdue", { node: node.node, time: clock(node.heard_at) })
          : t("banner.node.trouble", { node: node.node, part: word("reach", trouble?.part ?? "") }),
        text: node.overdue
          ? t("banner.node.overdue.action")
          : `${ago(runs.now - (trouble?.reach.since ?? runs.now))}. ${trouble?.reach.reason ?? ""}`,
        actions: [],
      };
    }
    case "silent":
      return {
        key: "silent",
        tone: "error",
        title: t("banner.silent", { time: clock(alert.since) }),
        text: `${ago(runs.now - alert.since)}. ${t("banner.silent.action")}`,
        actions: [],
      };
    case "paused":
      return {
        key: "feed-paused",
        tone: "warn",
        title: t("banner.paused", { by: alert.by, time: clock(alert.since) }),
        text: [
          ago(runs.now - alert.since),
          alert.reason === "" ? "" : t("banner.paused.reason", { reason: alert.reason }),
        ]
          .filter((one) => one !== "")
          .join(" · "),
        actions: runs.canControlFeed
          ? [{ label: t("banner.resume"), testid: "resume-feed", run: runs.resumeFeed }]
          : [],
      };
    case "notice":
      return {
        key: `notice-${alert.error.code}`,
        tone: "error",
        title: problemTitle(alert.error),
        text: [problemRest(alert.error), `(${clock(alert.at)})`].filter((one) => one !== "").join(" "),
        actions: [{ label: t("banner.dismiss"), testid: "dismiss", run: () => runs.dismissNotice(alert.error.code) }],
      };
    case "loop":
      return {
        key: `loop-${alert.name}`,
        tone: "error",
        title: t("banner.loop", { name: alert.name }),
        text: [alert.reason, t("banner.loop.action")].filter((one) => one !== "").join(" "),
        actions: [],
      };
    case "warning":
      return { key: `warning-${alert.text}`, tone: "warn", title: alert.text, text: "", actions: [] };
    case "bus_errors":
      return {
        key: "bus-errors",
        tone: "warn",
        title: t("banner.bus_errors", { count: count(alert.count) }),
        text: t("banner.bus_errors.last", { ago: ago(runs.now - alert.at), reason: alert.reason }),
        actions: [{ label: t("banner.dismiss"), testid: "dismiss-bus-errors", run: runs.dismissBusErrors }],
      };
  }
}
