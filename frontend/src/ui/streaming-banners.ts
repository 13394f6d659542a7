/** The strips of the streaming page: what is wrong with its connection or list. It must not know the socket. */
import type { StreamLink } from "../state/stream-link";
import type { WatchList } from "../state/watch-list";
import type { Banner } from "./banners";
import { refusalWords } from "./problem-words";
import { reconnectingBanner } from "./link-banners";
import { clock, count, t, word } from "./text";

export interface LinkRuns {
  retry: () => void;
  reload: () => void;
  readonly loginUrl: string;
  /** This browser's clock, Unix milliseconds. */
  readonly nowMs: number;
}

export interface BannerRuns extends LinkRuns {
  askAgain: () => void;
  dismissLosses: () => void;
}

/** Endings after which logging in again is what helps; after the others, connecting again. */
const LOGIN_HELPS = new Set(["logged_out", "token_expired", "unauthorized", "account_disabled"]);

export function bannersOf(link: StreamLink, list: WatchList, runs: BannerRuns): Banner[] {
  return [linkBanner(link, runs), refusalBanner(list, runs), lossBanner(list, runs)].filter((one) => one !== null);
}

/** What is wrong with a page's own connection; null if nothing is. */
export function linkBanner(link: StreamLink, runs: LinkRuns): Banner | null {
  if (link.kind === "ended") return endedBanner(link.reason, runs);
  if (link.kind === "live" || link.downSince === null) return null;
  const retryAt = link.kind === "waiting" ? link.retryAt / 1000 : null;
  return reconnectingBanner(link.downSince / 1000, retryAt, runs.nowMs / 1000, runs.retry);
}

function endedBanner(reason: string, runs: LinkRuns): Banner {
  const login = LOGIN_HELPS.has(reason);
  const own = word("watch.ended", reason);
  return {
    key: "ended",
    tone: "error",
    title: own === reason ? t("watch.ended.other", { reason }) : own,
    text: login ? t("banner.ended.action") : t("watch.ended.action"),
    actions: [
      login
        ? { label: t("banner.login"), testid: "login-again", href: runs.loginUrl }
        : { label: t("watch.connect"), testid: "connect-again", run: runs.reload },
    ],
  };
}

function refusalBanner(list: WatchList, runs: BannerRuns): Banner | null {
  const refused = list.rows.filter((row) => row.standing === "refused");
  const [first] = refused;
  if (first === undefined) return null;
  const revoked = first.refusal?.code === "permission_revoked";
  const symbols = refused.map((row) => row.symbol).join(", ");
  return {
    key: "refused",
    tone: "error",
    title: revoked ? t("watch.revoked", { symbols }) : t("watch.refused", { symbols }),
    text: revoked ? t("watch.revoked.action") : refusalWords(first.refusal),
    actions: [{ label: t("watch.ask_again"), testid: "ask-again", run: runs.askAgain }],
  };
}

function lossBanner(list: WatchList, runs: BannerRuns): Banner | null {
  const lost = list.rows.filter((row) => row.loss !== null);
  const [first] = lost;
  if (first?.loss == null) return null;
  const symbols = lost.map(({ symbol, loss }) =>
    loss?.atLeast == null ? symbol : t("watch.lost.symbol", { symbol, count: count(loss.atLeast) }),
  );
  const why = word("watch.lost.reason", first.loss.reason);
  return {
    key: "lost",
    tone: "warn",
    title: t("watch.lost", { time: clock(first.loss.at), symbols: symbols.join(", ") }),
    text: t("watch.lost.more", { why }),
    actions: [{ label: t("banner.dismiss"), testid: "dismiss-lost", run: runs.dismissLosses }],
  };
}
