/**
 * The page of alerts: what is open as a live list, with rules and silences below, and what one may do about them. How a
 * live list behaves is list-page's.
 */
import type { Problem, Reply } from "../socket/admin-api";
import {
  acknowledge,
  type AlertRow,
  deleteRule,
  endSilence,
  type Judging,
  listAlerts,
  listRules,
  listSilences,
  putRule,
  resolve,
  type RuleRow,
  type Silence,
  silence,
} from "../socket/alerts-api";
import type { ListShape } from "../state/list-query";
import { type Act, ActDialog } from "./act-dialog";
import { ALERT_COLUMNS, buttonsColumn, RULE_COLUMNS, type RowButton, ruleName, SILENCE_COLUMNS } from "./alert-columns";
import { followAlerts, titleOf } from "./alert-toasts";
import type { Banner } from "./banners";
import { part, setHidden, setText } from "./dom";
import { ListPage, type Page } from "./list-page";
import { LiveList } from "./live-list";
import { problemRest, problemTitle } from "./problem-words";
import { RuleDialog } from "./rule-dialog";
import { ago, clock, count, t } from "./text";

export const SHAPE: ListShape = {
  fields: ["text", "view", "severity", "rule"],
  sort: "opened_at",
  sorts: { opened_at: true },
};

/** The first view may be named, too. */
export const ADDRESS = { view: ["", "open", "acknowledged", "unresolved", "resolved", "all"] };

type AlertsPageRows = Page<AlertRow> & { readonly judging: Judging };

export class AlertsPage {
  private readonly mayAct = part(document, "list").dataset["mayAct"] === "true";
  private readonly acts = new ActDialog();
  private readonly editor = new RuleDialog(() => this.done("rule", t("rules.saved")));
  private readonly rulesBox = part<HTMLDetailsElement>(document, "rules");
  private readonly silencesBox = part<HTMLDetailsElement>(document, "silences");
  private judging: Judging | null = null;
  private readonly rules: LiveList<RuleRow> = new LiveList<RuleRow>(this.rulesBox, {
    columns: [
      ...RULE_COLUMNS,
      buttonsColumn(
        this.ruleButtons(),
        (row) => row.key,
        (id) => this.rules.row(id),
      ),
    ],
    idOf: (row) => row.key,
    nameOf: ruleName,
  });
  private readonly silences: LiveList<Silence> = new LiveList<Silence>(this.silencesBox, {
    columns: [
      ...SILENCE_COLUMNS,
      buttonsColumn(
        this.silenceButtons(),
        (row) => row.id,
        (id) => this.silences.row(id),
      ),
    ],
    idOf: (row) => row.id,
    nameOf: (row) => row.alert_type,
  });
  private readonly page: ListPage<AlertRow> = new ListPage<AlertRow>({
    shape: SHAPE,
    columns: [
      ...ALERT_COLUMNS,
      buttonsColumn(
        this.alertButtons(),
        (row) => row.id,
        (id) => this.page.list.row(id),
      ),
    ],
    idOf: (row) => row.id,
    nameOf: titleOf,
    list: async (parameters) => {
      const reply = await listAlerts(parameters);
      if (!reply.ok) return reply;
      const { alerts, ...rest } = reply.value;
      this.judging = rest.judging;
      const page: AlertsPageRows = { ...rest, rows: alerts, kept: [], complete: true, silent: [], cut_off: "" };
      return { ok: true, value: page };
    },
    // Whatever is not listed any more is over, or in another view.
    maybeOn: () => false,
    trouble: () => (this.judging === null ? [] : troubles(this.judging, this.page.now())),
    more: () => this.askMore(),
    draw: (now) => this.drawMore(now),
    items: () =>
      this.mayAct ? [{ kind: t("palette.kind.action"), name: t("rules.new"), run: () => this.newRule() }] : [],
  });

  start(): void {
    for (const box of [this.rulesBox, this.silencesBox]) box.addEventListener("toggle", () => this.page.refresh());
    part(document, "rule-new").addEventListener("click", () => this.newRule());
    followAlerts(() => this.page.refresh());
    this.page.start();
  }

  private newRule(): void {
    this.editor.open(null);
  }

  // ---- rules and silences

  private async askMore(): Promise<Problem | null> {
    const now = this.page.now();
    if (this.rulesBox.open) {
      const reply = await listRules();
      if (!reply.ok) return reply.problem;
      this.rules.answer({ rows: reply.value.rules, kept: [] }, now, () => false);
    }
    if (this.silencesBox.open) {
      const reply = await listSilences();
      if (!reply.ok) return reply.problem;
      this.silences.answer({ rows: reply.value.silences, kept: [] }, now, () => false);
      setHidden(part(document, "silences-empty"), reply.value.silences.length > 0);
    }
    return null;
  }

  private drawMore(now: number): void {
    this.rules.draw(now);
    this.silences.draw(now);
    const { judging } = this;
    const known = judging !== null && judging.node !== "";
    const age = known ? ago(Math.max(0, now - judging.heard_at)) : "";
    setText(part(document, "judged"), known ? t("alerts.judged", { node: judging.node, ago: age }) : "");
  }

  // ---- acting

  private alertButtons(): RowButton<AlertRow>[] {
    if (!this.mayAct) return [];
    const living = (row: AlertRow): boolean => !row.resolved;
    return [
      {
        key: "acknowledge",
        icon: "check-lg",
        label: (row) => t("alerts.acknowledge.of", { name: titleOf(row) }),
        fits: (row) => living(row) && row.acknowledged_at === null,
        press: (row) => this.ask("alerts.acknowledge", row, false, (note) => acknowledge(row.id, note)),
      },
      {
        key: "resolve",
        icon: "x-lg",
        label: (row) => t("alerts.resolve.of", { name: titleOf(row) }),
        fits: living,
        press: (row) => this.ask("alerts.resolve", row, true, (reason) => resolve(row.id, reason)),
      },
      {
        key: "silence",
        icon: "bell-slash",
        label: (row) => t("alerts.silence.of", { name: titleOf(row) }),
        fits: (row) => living(row) && row.silenced_until === null,
        press: (row) =>
          this.ask(
            "alerts.silence",
            row,
            true,
            (reason, seconds) => silence(row.rule, row.group, seconds, reason),
            true,
          ),
      },
    ];
  }

  private ask(
    words: "alerts.acknowledge" | "alerts.resolve" | "alerts.silence",
    row: AlertRow,
    needsReason: boolean,
    send: (reason: string, seconds: number) => Promise<Reply<unknown>>,
    timed = false,
  ): void {
    const title = t(`${words}.of`, { name: titleOf(row) });
    const label = t(needsReason ? "alerts.reason" : "alerts.note_label");
    this.open({ title, consequence: t(`${words}.what`), label, go: t(words), needsReason, timed }, send);
  }

  private open(act: Omit<Act, "run">, send: (reason: string, seconds: number) => Promise<Reply<unknown>>): void {
    this.acts.open({
      ...act,
      run: async (reason, seconds) => {
        const reply = await send(reason, seconds);
        if (!reply.ok) return reply.problem;
        this.done("done", t("alerts.done", { what: act.go }));
        return null;
      },
    });
  }

  private ruleButtons(): RowButton<RuleRow>[] {
    if (!this.mayAct) return [];
    const name = ruleName;
    const sets = (enabled: boolean): RowButton<RuleRow> => ({
      key: enabled ? "enable" : "disable",
      icon: enabled ? "play-fill" : "pause-fill",
      label: (row) => t(enabled ? "rules.enable" : "rules.disable", { name: name(row) }),
      fits: (row) => row.rule !== null && row.rule.enabled !== enabled,
      press: (row) => void this.set(row, enabled),
    });
    return [
      {
        key: "edit",
        icon: "pencil-square",
        label: (row) => t("rules.edit", { name: name(row) }),
        fits: () => true,
        press: (row) => this.editor.open(row),
      },
      sets(false),
      sets(true),
      {
        key: "delete",
        icon: "arrow-counterclockwise",
        label: (row) => t(row.shipped ? "rules.restore" : "rules.delete", { name: name(row) }),
        fits: (row) => row.version > 0,
        press: (row) => this.remove(row, name(row)),
      },
    ];
  }

  private async set(row: RuleRow, enabled: boolean): Promise<void> {
    const reply = await putRule(row.key, row.version, JSON.stringify({ ...row.rule, enabled }));
    if (reply.ok) this.done("rule", t("rules.saved"));
    else this.failed(reply.problem);
  }

  private remove(row: RuleRow, name: string): void {
    const words = row.shipped ? "rules.restore" : "rules.delete";
    const consequence = t(row.shipped ? "rules.restore.what" : "rules.delete.what");
    const title = t(words, { name });
    this.open({ title, consequence, label: t("alerts.note_label"), go: title, needsReason: false }, () =>
      deleteRule(row.key, row.version),
    );
  }

  private silenceButtons(): RowButton<Silence>[] {
    if (!this.mayAct) return [];
    return [
      {
        key: "end-silence",
        icon: "x-lg",
        label: (row) => t("silences.end", { name: row.alert_type }),
        fits: (row) => row.ended_at === null && row.until > this.page.now(),
        press: (row) => void this.end(row),
      },
    ];
  }

  private async end(row: Silence): Promise<void> {
    const reply = await endSilence(row.id);
    if (reply.ok) this.done("silence", t("silences.done"));
    else this.failed(reply.problem);
  }

  private done(key: string, title: string): void {
    this.page.notice({ key, tone: "info", title, text: "" });
    // What somebody has just made is looked for at once.
    this.rules.ask();
    this.silences.ask();
    this.page.refresh();
  }

  private failed(problem: Problem): void {
    const title = problemTitle(problem, t("alerts.no_answer"));
    this.page.notice({ key: "refused", tone: "error", title, text: problemRest(problem) });
  }
}

/** What is wrong with the judging itself: an alert list that nobody fills is not an empty one. */
function troubles(judging: Judging, now: number): Banner[] {
  const found: Banner[] = [];
  const say = (key: string, tone: Banner["tone"], title: string, text: string): void => {
    found.push({ key, tone, title, text, actions: [] });
  };
  if (judging.mode === "nobody") {
    const title = t("alerts.nobody", { time: clock(judging.heard_at) });
    say("nobody", "error", title, `${ago(Math.max(0, now - judging.heard_at))}. ${t("alerts.nobody.action")}`);
  }
  if (judging.mode === "alone") say("alone", "warn", t("alerts.alone"), t("alerts.alone.action"));
  if (judging.rules_from === "shipped") say("shipped", "warn", t("alerts.shipped"), t("alerts.shipped.action"));
  if (judging.unwritten > 0) {
    say("unwritten", "warn", t("alerts.unwritten", { count: count(judging.unwritten) }), t("alerts.unwritten.action"));
  }
  if (judging.lost > 0) say("lost", "error", t("alerts.lost", { count: count(judging.lost) }), t("alerts.lost.action"));
  if (judging.unheard.length > 0) {
    say("unheard", "warn", t("alerts.unheard", { nodes: judging.unheard.join(", ") }), t("alerts.unheard.action"));
  }
  return found;
}
