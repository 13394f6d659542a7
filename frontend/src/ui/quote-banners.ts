/** The strips of a quote's page: its connection, what is closed to the person, what they must decide. It must not know the socket. */
import type { ClientError } from "../client/index";
import type { QuoteModel } from "../state/quote";
import { conflicts, type Edits, waitingCount } from "../state/quote-edits";
import type { StreamLink } from "../state/stream-link";
import type { Banner } from "./banners";
import { errorWords } from "./error-words";
import { clock, count, exact, span, t, word } from "./text";

export interface QuoteBannerInput {
  readonly link: StreamLink;
  readonly model: QuoteModel;
  readonly edits: Edits;
  readonly closed: ClientError | null;
  readonly mayEdit: boolean;
  readonly offline: boolean;
  readonly loginUrl: string;
  readonly nowMs: number;
  retry(): void;
  reopen(): void;
  firstConflict(): void;
}

const LOGIN_HELPS = new Set(["logged_out", "token_expired", "unauthorized", "account_disabled"]);

export function quoteBanners(input: QuoteBannerInput): Banner[] {
  const all = [linkBanner(input), closedBanner(input), conflictBanner(input), finalBanner(input)];
  return all.filter((one) => one !== null);
}

function linkBanner(input: QuoteBannerInput): Banner | null {
  const { link } = input;
  if (link.kind === "ended") return endedBanner(link.reason, input);
  if (link.kind === "live" || link.downSince === null) return null;
  const leftS = link.kind === "waiting" ? Math.ceil((link.retryAt - input.nowMs) / 1000) : 0;
  const next = input.offline
    ? t("quote.offline.network")
    : leftS > 0
      ? t("quote.offline.next", { span: span(leftS) })
      : t("quote.offline.now");
  const waiting = waitingCount(input.edits);
  const kept = waiting === 0 ? t("quote.offline.none") : t("quote.offline.waiting", { count: count(waiting) });
  return {
    key: "reconnecting",
    tone: "warn",
    title: t("banner.reconnecting", { time: clock(link.downSince / 1000) }),
    text: `${next} ${kept}`,
    actions: [{ label: t("banner.retry"), testid: "retry-now", run: input.retry }],
  };
}

function endedBanner(reason: string, input: QuoteBannerInput): Banner {
  if (reason === "other_user") return otherUserBanner();
  const login = LOGIN_HELPS.has(reason);
  const own = word("watch.ended", reason);
  const waiting = waitingCount(input.edits);
  const lost = waiting === 0 ? "" : ` ${t("quote.ended.waiting", { count: count(waiting) })}`;
  return {
    key: "ended",
    tone: "error",
    title: own === reason ? t("watch.ended.other", { reason }) : own,
    text: (login ? t("banner.ended.action") : t("quote.ended.action")) + lost,
    actions: [
      login
        ? { label: t("banner.login"), testid: "login-again", href: input.loginUrl }
        : { label: t("watch.connect"), testid: "connect-again", run: input.reopen },
    ],
  };
}

function otherUserBanner(): Banner {
  return {
    key: "other-user",
    tone: "error",
    title: t("quote.other_user"),
    text: t("quote.other_user.action"),
    actions: [{ label: t("quote.load_again"), testid: "load-again", run: () => location.reload() }],
  };
}

function closedBanner({ closed, reopen }: QuoteBannerInput): Banner | null {
  if (closed === null) return null;
  const key = closed.code === "not_found" ? "missing" : closed.code === "permission_revoked" ? "revoked" : "closed";
  const actions = [{ label: t("watch.ask_again"), testid: "ask-again", run: reopen }];
  if (key === "missing") {
    return { key, tone: "error", title: t("quote.missing"), text: t("quote.missing.action"), actions: [] };
  }
  if (key === "revoked" || closed.code === "permission_denied") {
    return { key: "revoked", tone: "error", title: t("quote.revoked"), text: t("quote.revoked.action"), actions };
  }
  return {
    key,
    tone: "error",
    title: t("quote.closed"),
    text: errorWords({ code: closed.code, sentences: [closed.message, closed.requiredAction, closed.willNot] }),
    actions,
  };
}

function conflictBanner({ model, edits, firstConflict }: QuoteBannerInput): Banner | null {
  const open = conflicts(edits).length;
  // Nothing can be decided about a quote that is not shown.
  if (open === 0 || model.quote === null) return null;
  return {
    key: "conflicts",
    tone: "warn",
    title: open === 1 ? t("quote.conflicts.one") : t("quote.conflicts", { count: count(open) }),
    text: t("quote.conflicts.action"),
    actions: [{ label: t("quote.conflicts.go"), testid: "first-conflict", run: firstConflict }],
  };
}

function finalBanner({ model, mayEdit, closed }: QuoteBannerInput): Banner | null {
  const quote = model.quote;
  if (quote === null || closed !== null) return null;
  const { status, updated_at, expires_at } = quote.quote;
  if (status === "bound") {
    return {
      key: "bound",
      tone: "info",
      title: t("quote.bound", { time: exact(updated_at) }),
      text: t("quote.bound.action"),
      actions: [],
    };
  }
  if (status === "expired") {
    const time = exact(expires_at ?? updated_at);
    return {
      key: "expired",
      tone: "info",
      title: t("quote.expired", { time }),
      text: t("quote.expired.action"),
      actions: [],
    };
  }
  if (mayEdit) return null;
  return {
    key: "read-only",
    tone: "info",
    title: t("quote.read_only"),
    text: t("quote.read_only.action"),
    actions: [],
  };
}
