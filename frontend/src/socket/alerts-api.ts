/** Alerts, rules and silences as the API tells of them. Types follow src/tidewire/alerts. */
import { ask, post, type Reply } from "./admin-api";

export type Severity = "low" | "medium" | "high" | "critical";

/** One figure of an alert's message; `read` is how its metric is read. */
export interface FigureSaid {
  readonly metric: string;
  readonly read: "value" | "rate" | "age";
  readonly window_s: number;
}

export interface AlertRow {
  readonly id: string;
  readonly rule: string;
  readonly name: string;
  readonly group: string;
  readonly severity: Severity;
  readonly message: string;
  readonly advice: string;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly compare: string;
  readonly members: readonly string[];
  readonly member_count: number;
  readonly note: string;
  readonly opened_at: number;
  readonly acknowledged_at: number | null;
  readonly acknowledged_by: string | null;
  readonly acknowledged_note: string | null;
  readonly silenced_until: number | null;
  readonly resolved: boolean;
  readonly resolved_at: number | null;
  readonly resolved_by: string | null;
  readonly resolved_why: string | null;
  readonly stored: boolean;
  readonly node: string;
  /** What the message says, for those who say it in other words. */
  readonly said: {
    readonly code: "bad" | "no_data" | "unknown";
    readonly figures: readonly FigureSaid[];
    readonly for_s: number;
  } | null;
}

export interface Judging {
  readonly mode: "leading" | "alone" | "nobody" | "unknown";
  readonly node: string;
  readonly heard_at: number;
  readonly rules_from: string;
  readonly open: number | null;
  readonly unwritten: number;
  readonly lost: number;
  readonly held_back: number;
  readonly unheard: readonly string[];
}

export interface AlertsAnswer {
  readonly alerts: readonly AlertRow[];
  readonly matching: number;
  readonly cursor: string | null;
  readonly at: number;
  readonly live: boolean;
  readonly judging: Judging;
}

export interface Figure {
  readonly metric: string;
  readonly where: Readonly<Record<string, string>>;
  readonly read: string;
  readonly window_s: number;
}

/** A rule as it is written; only what the list shows is named. */
export interface Rule {
  readonly key: string;
  readonly name: string;
  readonly severity: Severity;
  readonly compare: string;
  readonly threshold: number;
  readonly clear: number | null;
  readonly for_s: number;
  readonly enabled: boolean;
  readonly advice: string;
  readonly figure: Figure;
  readonly over: Figure | null;
}

export interface RuleRow {
  readonly key: string;
  /** Null: what is stored is no rule of this version. */
  readonly rule: Rule | null;
  /** Null while nobody judges. */
  readonly state: {
    readonly state: string;
    readonly value: number | null;
    readonly open: number;
    readonly pending: number;
    readonly since: number | null;
  } | null;
  readonly shipped: boolean;
  readonly changed: boolean;
  readonly version: number;
  readonly updated_at: number | null;
  readonly updated_by: string | null;
}

export interface Silence {
  readonly id: string;
  readonly alert_type: string;
  readonly group: string | null;
  readonly reason: string;
  readonly created_at: number;
  readonly created_by: string;
  readonly until: number;
  readonly ended_at: number | null;
  readonly ended_by: string | null;
}

const ALERTS = "/api/v1/admin/alerts";

function one(id: string): string {
  return `${ALERTS}/${encodeURIComponent(id)}`;
}

function rule(key: string): string {
  return `${ALERTS}/rules/${encodeURIComponent(key)}`;
}

export function listAlerts(parameters: URLSearchParams): Promise<Reply<AlertsAnswer>> {
  return ask(`${ALERTS}?${parameters}`);
}

export function acknowledge(id: string, note: string): Promise<Reply<AlertRow>> {
  return post(`${one(id)}/acknowledge`, { note });
}

export function resolve(id: string, reason: string): Promise<Reply<AlertRow>> {
  return post(`${one(id)}/resolve`, { reason });
}

export function listRules(): Promise<Reply<{ readonly rules: readonly RuleRow[] }>> {
  return ask(`${ALERTS}/rules`);
}

/** What a rule may refer to: metric -> its labels. */
export function listMetrics(): Promise<Reply<{ readonly metrics: Readonly<Record<string, readonly string[]>> }>> {
  return ask(`${ALERTS}/rules/metrics`);
}

/** `document` is the rule's JSON text; what is wrong with it, the server says. */
export function putRule(key: string, version: number, document: string): Promise<Reply<{ readonly version: number }>> {
  return ask(rule(key), { method: "PUT", body: `{"version":${version},"rule":${document}}` });
}

export function deleteRule(key: string, version: number): Promise<Reply<unknown>> {
  return ask(`${rule(key)}?version=${version}`, { method: "DELETE" });
}

export function listSilences(): Promise<Reply<{ readonly silences: readonly Silence[] }>> {
  return ask(`${ALERTS}/silences`);
}

export function silence(
  ruleKey: string,
  group: string | null,
  seconds: number,
  reason: string,
): Promise<Reply<Silence>> {
  return post(`${ALERTS}/silences`, { rule: ruleKey, group, seconds, reason });
}

export function endSilence(id: string): Promise<Reply<Silence>> {
  return ask(`${ALERTS}/silences/${encodeURIComponent(id)}`, { method: "DELETE" });
}
