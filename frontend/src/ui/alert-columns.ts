/** The columns of alerts, rules and silences. They must not know where rows come from, or what a button does. */
import type { AlertRow, Figure, RuleRow, Severity, Silence } from "../socket/alerts-api";
import { titleOf } from "./alert-toasts";
import { messageOf } from "./alert-words";
import { element, find, icon, setAttribute, setHidden, setIcon, setText } from "./dom";
import { type Column, figures, words } from "./list-row";
import { ago, clock, count, digits, exact, NONE, span, t, translated, word } from "./text";

const ICONS: Record<Severity, string> = {
  low: "info-circle",
  medium: "exclamation-triangle-fill",
  high: "exclamation-triangle-fill",
  critical: "exclamation-octagon-fill",
};

/** A button of a row: which, what it is called, and whether the row has it now. */
export interface RowButton<R> {
  readonly key: string;
  readonly icon: string;
  label(row: R): string;
  fits(row: R): boolean;
  press(row: R): void;
}

function severityMark(): HTMLElement {
  return element("span", { class: "al-severity" }, icon("info-circle"), element("span"));
}

function drawSeverity(cell: HTMLElement, severity: Severity): void {
  const mark = find(cell, ".al-severity");
  setAttribute(mark, "data-severity", severity);
  setIcon(find(mark, "svg"), ICONS[severity]);
  setText(find(mark, ":scope > span"), word("alerts.severity", severity));
}

export const ALERT_COLUMNS: readonly Column<AlertRow>[] = [
  {
    key: "name",
    make(cell) {
      cell.append(element("span", { class: "list-name" }), severityMark());
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), titleOf(row));
      drawSeverity(cell, row.severity);
    },
  },
  {
    key: "message",
    classes: "al-message",
    make(cell) {
      cell.append(element("span"), element("span", { class: "al-advice" }));
    },
    draw(cell, row) {
      const note = row.note === "" ? "" : ` ${word("alerts.note", row.note)}`;
      setText(find(cell, "span"), `${messageOf(row)}${note}`);
      setText(find(cell, ".al-advice"), translated(`rule.advice.${row.rule}`, row.advice));
    },
  },
  figures(
    "members",
    (row) => count(row.member_count),
    (row) => row.members.join("\n"),
  ),
  figures(
    "opened_at",
    (row, { now }) => ago(Math.max(0, now - row.opened_at)),
    (row) => exact(row.opened_at),
  ),
  words("standing", standingOf, {
    classes: "al-standing",
    title: (row) => exact(row.resolved_at ?? row.acknowledged_at ?? row.silenced_until),
  }),
];

/** How the alert is, and by whom. */
function standingOf(row: AlertRow): string {
  const said: string[] = [];
  if (row.resolved) {
    const lasted = span((row.resolved_at ?? row.opened_at) - row.opened_at);
    const why = row.resolved_by === "system" ? word("alerts.why", row.resolved_why ?? "") : (row.resolved_why ?? "");
    said.push(t("alerts.resolved_by", { by: row.resolved_by ?? NONE, why, span: lasted }));
  }
  if (row.acknowledged_by !== null) {
    const words = { by: row.acknowledged_by, time: clock(row.acknowledged_at) };
    said.push(`${t("alerts.acknowledged_by", words)} ${row.acknowledged_note ?? ""}`.trim());
  } else if (!row.resolved) said.push(t("alerts.nobody_yet"));
  if (row.silenced_until !== null) said.push(t("alerts.silenced", { time: clock(row.silenced_until) }));
  if (!row.stored) said.push(t("alerts.unstored"));
  return said.join(" · ");
}

export const RULE_COLUMNS: readonly Column<RuleRow>[] = [
  {
    key: "name",
    make(cell) {
      cell.append(element("span", { class: "list-name" }), element("span", { class: "list-small" }));
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), ruleName(row));
      setText(find(cell, ".list-small"), row.key);
      setAttribute(cell, "title", translated(`rule.advice.${row.key}`, row.rule?.advice ?? "") || null);
    },
  },
  {
    key: "state",
    make(cell) {
      cell.append(element("span", { class: "al-state" }, icon("info-circle"), element("span")));
    },
    draw(cell, row, { now }) {
      const state = row.state?.state ?? "unknown";
      const mark = find(cell, ".al-state");
      setAttribute(mark, "data-state", state);
      setIcon(find(mark, "svg"), STATE_ICONS[state] ?? "question-circle");
      const since = row.state?.since ?? null;
      const more = since === null ? "" : ` (${span(Math.max(0, now - since))})`;
      setText(find(mark, ":scope > span"), `${word("rules.state", state)}${more}`);
    },
  },
  figures("value", (row) => (row.state?.value == null ? NONE : plain(row.state.value))),
  words("condition", conditionOf, { classes: "al-condition", title: (row) => row.rule?.figure.metric ?? "" }),
  {
    key: "severity",
    make(cell) {
      cell.append(severityMark());
    },
    draw(cell, row) {
      setHidden(find(cell, ".al-severity"), row.rule === null);
      if (row.rule !== null) drawSeverity(cell, row.rule.severity);
    },
  },
  words("by", (row) => (row.shipped ? t(row.changed ? "rules.changed" : "rules.shipped") : (row.updated_by ?? NONE)), {
    title: (row) => (row.updated_at === null ? "" : `${row.updated_by ?? ""} ${exact(row.updated_at)}`),
  }),
];

const STATE_ICONS: Record<string, string> = {
  fine: "check-circle-fill",
  pending: "hourglass-split",
  open: "exclamation-octagon-fill",
  no_data: "question-circle",
  quiet: "dash-circle",
  resting: "moon-stars",
  disabled: "pause-circle-fill",
  broken: "exclamation-triangle-fill",
};

/** A figure as short as it can be without telling something else. */
function plain(value: number): string {
  return Number.isInteger(value) ? count(value) : digits(value, 3);
}

/** As Prometheus writes it: rate(tidewire_http_responses_total{status="500"}[60 s]). */
function figureOf(figure: Figure): string {
  const where = Object.entries(figure.where).map(([name, value]) => `${name}="${value}"`);
  const series = where.length === 0 ? figure.metric : `${figure.metric}{${where.join(",")}}`;
  if (figure.read === "value") return series;
  return figure.read === "rate" ? `rate(${series}[${figure.window_s} s])` : `${figure.read}(${series})`;
}

/** What a rule is called. */
export function ruleName(row: RuleRow): string {
  return translated(`rule.name.${row.key}`, row.rule?.name ?? row.key);
}

function conditionOf(row: RuleRow): string {
  const { rule } = row;
  if (rule === null) return NONE;
  const figure = figureOf(rule.figure);
  const over = rule.over === null ? "" : ` / ${figureOf(rule.over)}`;
  const clear = rule.clear === null ? "" : `, ${t("rules.clear", { value: plain(rule.clear) })}`;
  const lasting = t("rules.for", { span: span(rule.for_s) });
  return `${figure}${over} ${rule.compare} ${plain(rule.threshold)}${clear}, ${lasting}`;
}

export const SILENCE_COLUMNS: readonly Column<Silence>[] = [
  {
    key: "rule",
    make(cell) {
      cell.append(element("span", { class: "list-name" }));
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), row.group === null ? row.alert_type : `${row.alert_type} (${row.group})`);
    },
  },
  words("until", (row, { now }) => endOf(row, now), { title: (row) => exact(row.ended_at ?? row.until) }),
  words("reason", (row) => row.reason, { classes: "al-message" }),
  words("by", (row) => row.created_by, { title: (row) => exact(row.created_at) }),
];

function endOf(row: Silence, now: number): string {
  if (row.ended_at !== null) return t("silences.ended", { by: row.ended_by ?? NONE, time: clock(row.ended_at) });
  return row.until > now ? t("silences.left", { span: span(row.until - now) }) : t("silences.over");
}

/** The column of what may be done; without any button it stays empty. */
export function buttonsColumn<R>(
  buttons: readonly RowButton<R>[],
  idOf: (row: R) => string,
  rowOf: (id: string) => R | undefined,
): Column<R> {
  return {
    key: "actions",
    classes: "list-actions",
    make(cell, id) {
      for (const one of buttons) {
        const button = element("button", { type: "button", class: "btn-icon", "data-testid": one.key }, icon(one.icon));
        button.addEventListener("click", () => {
          const row = rowOf(id);
          if (row !== undefined) one.press(row);
        });
        cell.append(button);
      }
    },
    draw(cell, row) {
      const gone = cell.parentElement?.dataset["standing"] === "gone";
      const made = [...cell.querySelectorAll<HTMLButtonElement>("button")];
      for (const [i, one] of buttons.entries()) {
        const button = made[i];
        if (button === undefined) continue;
        setHidden(button, gone || !one.fits(row));
        setAttribute(button, "aria-label", one.label(row));
        setAttribute(button, "title", one.label(row));
        setAttribute(button, "data-for", idOf(row));
      }
    },
  };
}
