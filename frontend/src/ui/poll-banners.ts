/** What a page that asks again and again says: cut off, ended, refused, a node without an answer. It must not know the page. */
import { isRefusedQuestion, type Problem } from "../socket/admin-api";
import type { Whole } from "../socket/connections-api";
import type { Banner } from "./banners";
import { loginUrl, reconnectingBanner } from "./link-banners";
import { missingBanners } from "./missing-banners";
import type { Poller } from "./poller";
import { problemRest, problemTitle, problemWords } from "./problem-words";
import { t } from "./text";

/** `last`: the newest answer, if there was one. `clear`: asks for everything; offered where the question is refused. */
export function pollBanners(poller: Poller, last: Whole | null, clear?: () => void): Banner[] {
  const { look, problem } = poller;
  const found: Banner[] = [];
  if (look.kind === "ended" && problem !== null) found.push(endedBanner(problem));
  else if (look.downSince !== null) {
    const retryAt = look.kind === "waiting" && look.retryAt !== null ? look.retryAt / 1000 : null;
    found.push(reconnectingBanner(look.downSince / 1000, retryAt, Date.now() / 1000, () => poller.now()));
  }
  if (problem !== null && problem.status > 0 && look.kind !== "ended") found.push(problemBanner(problem, clear));
  if (last !== null && look.kind === "live") found.push(...missingBanners(last));
  return found;
}

function endedBanner(problem: Problem): Banner {
  const forbidden = problem.status === 403;
  return {
    key: "ended",
    tone: "error",
    title: forbidden ? t("list.forbidden") : t("banner.ended"),
    text: forbidden ? problemWords(problem) : t("banner.ended.action"),
    actions: [{ label: t("banner.login"), testid: "login-again", href: loginUrl() }],
  };
}

function problemBanner(problem: Problem, clear?: () => void): Banner {
  const text = [problemRest(problem), problem.correlationId].filter((one) => one !== "").join(" ");
  const refused = clear !== undefined && isRefusedQuestion(problem.status);
  return {
    key: refused ? "refused" : "problem",
    tone: "error",
    title: problemTitle(problem),
    text,
    actions: refused ? [{ label: t("list.clear"), testid: "refused-clear", run: clear }] : [],
  };
}
