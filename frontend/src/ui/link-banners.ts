/** The strips that every live page has: cut off from the server. It must not know what the page is connected to. */
import type { Banner } from "./banners";
import { clock, span, t } from "./text";

/** Times in Unix seconds of this browser's clock; `retryAt` null while an attempt is under way. */
export function reconnectingBanner(since: number, retryAt: number | null, here: number, retry: () => void): Banner {
  const left = retryAt === null ? 0 : Math.ceil(retryAt - here);
  return {
    key: "reconnecting",
    tone: "warn",
    title: t("banner.reconnecting", { time: clock(since) }),
    text: left > 0 ? t("banner.reconnecting.next", { span: span(left) }) : t("banner.reconnecting.now"),
    actions: [{ label: t("banner.retry"), testid: "retry-now", run: retry }],
  };
}

/** The way back to this page through the login. */
export function loginUrl(): string {
  return `/login?next=${encodeURIComponent(`${location.pathname}${location.search}`)}`;
}
