/** The strips of the analytics page: what is wrong with its connection, its permission or its figures. */
import type { ClientError } from "../client/index";
import { type Figures, isFields } from "../state/analytics";
import { downSince, type StreamLink } from "../state/stream-link";
import type { Banner } from "./banners";
import { errorWords } from "./error-words";
import { loginUrl, reconnectingBanner } from "./link-banners";
import { clock, t, word } from "./text";

export interface BannerRuns {
  retry(): void;
  again(): void;
  /** Without a filter. */
  clear(): void;
}

/** Endings after which logging in again is what helps. */
const LOGIN_HELPS = new Set(["logged_out", "token_expired", "unauthorized", "account_disabled", "permissions_changed"]);

export function analyticsBanners(
  link: StreamLink,
  refusal: ClientError | null,
  figures: Figures | null,
  runs: BannerRuns,
): Banner[] {
  const found = [linkBanner(link, runs)];
  if (link.kind !== "ended") found.push(refusalBanner(refusal, runs), failureBanner(figures));
  return found.filter((one) => one !== null);
}

function linkBanner(link: StreamLink, runs: BannerRuns): Banner | null {
  if (link.kind === "ended") {
    const own = word("watch.ended", link.reason);
    const login = LOGIN_HELPS.has(link.reason);
    return {
      key: "ended",
      tone: "error",
      title: own === link.reason ? t("watch.ended.other", { reason: link.reason }) : own,
      text: login ? t("banner.ended.action") : t("watch.ended.action"),
      actions: [
        login
          ? { label: t("banner.login"), testid: "login-again", href: loginUrl() }
          : { label: t("watch.connect"), testid: "connect-again", run: runs.again },
      ],
    };
  }
  const since = downSince(link);
  if (since === null) return null;
  return reconnectingBanner(
    since / 1000,
    link.kind === "waiting" ? link.retryAt / 1000 : null,
    Date.now() / 1000,
    runs.retry,
  );
}

function refusalBanner(refusal: ClientError | null, runs: BannerRuns): Banner | null {
  if (refusal === null) return null;
  const revoked = refusal.code === "permission_revoked" || refusal.code === "permission_denied";
  const sentences = [refusal.message, refusal.requiredAction, refusal.willNot];
  return {
    key: revoked ? "revoked" : "refused",
    tone: refusal.temporary ? "warn" : "error",
    title: t(revoked ? "analytics.revoked" : "analytics.refused"),
    text: revoked
      ? t("analytics.revoked.action")
      : errorWords({ code: refusal.code, sentences, details: refusal.details }),
    actions: [
      refusal.code === "bad_filter"
        ? { label: t("list.clear"), testid: "refused-clear", run: runs.clear }
        : { label: t("banner.retry"), testid: "ask-again", run: runs.again },
    ],
  };
}

function failureBanner(figures: Figures | null): Banner | null {
  const failure = figures?.parts["failure"];
  if (figures === null || !isFields(failure)) return null;
  const sentences = ["message", "required_action", "will_not"].map((name) => String(failure[name] ?? ""));
  return {
    key: "uncounted",
    tone: "warn",
    title: t("analytics.uncounted", { time: clock(figures.asOf) }),
    text: errorWords({ code: String(failure["code"] ?? ""), sentences }),
    actions: [],
  };
}
