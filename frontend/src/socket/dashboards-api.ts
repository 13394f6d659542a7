/** Dashboards and their figures as the API tells of them. Types follow src/tidewire/monitoring/dashboard_*.py, figure_*.py. */
import { ask, post, type Reply } from "./admin-api";
import type { Whole } from "./connections-api";

export type Kind = "figure" | "chart" | "table";
export const TOTALS = ["sum", "max", "min", "mean"] as const;
export const SHOWN = ["value", "per_second"] as const;
export const RANGES_S = [60, 300, 900] as const;

export interface Figure {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly total: (typeof TOTALS)[number];
  readonly shown: (typeof SHOWN)[number];
}

export interface Widget {
  readonly id: string;
  readonly kind: Kind;
  readonly title: string;
  readonly figures: readonly Figure[];
  readonly range_s: number;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface BoardHead {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly mine: boolean;
  readonly shared: boolean;
  readonly built_in: boolean;
  readonly version: number;
}

export interface Board extends BoardHead {
  readonly widgets: readonly Widget[];
}

export interface BoardsAnswer {
  readonly dashboards: readonly BoardHead[];
  readonly first: string | null;
  readonly first_of_all: string | null;
}

export interface Metric {
  readonly name: string;
  readonly kind: string;
  readonly unit: string;
  readonly help: string;
  readonly total: string;
}

export interface Series {
  readonly values: readonly (number | null)[];
  readonly lines: number;
}

export interface FiguresAnswer extends Whole {
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly step_s: number;
  readonly nodes: readonly string[];
  readonly at: number;
}

export interface Draft {
  readonly name: string;
  readonly shared: boolean;
  readonly version: number;
  readonly widgets: readonly Widget[];
}

const ROOT = "/api/v1/admin/dashboards";
const send = (method: string, body?: unknown): RequestInit =>
  body === undefined ? { method } : { method, body: JSON.stringify(body) };

export const listBoards = (): Promise<Reply<BoardsAnswer>> => ask(ROOT);
export const readBoard = (id: string): Promise<Reply<Board>> => ask(`${ROOT}/${encodeURIComponent(id)}`);
export const makeBoard = (draft: Draft): Promise<Reply<Board>> => post(ROOT, draft);
export const saveBoard = (id: string, draft: Draft): Promise<Reply<Board>> =>
  ask(`${ROOT}/${encodeURIComponent(id)}`, send("PUT", draft));
export const deleteBoard = (id: string): Promise<Reply<object>> =>
  ask(`${ROOT}/${encodeURIComponent(id)}`, send("DELETE"));
export const chooseFirst = (id: string | null, everybody: boolean): Promise<Reply<object>> =>
  ask(`${ROOT}/first`, send("PUT", { dashboard_id: id, everybody }));
export const listMetrics = (): Promise<Reply<{ readonly metrics: readonly Metric[] }>> => ask("/api/v1/admin/figures");
export const readFigures = (
  figures: readonly Figure[],
  rangeS: number,
  since: number,
  node: string,
): Promise<Reply<FiguresAnswer>> => post("/api/v1/admin/figures", { figures, range_s: rangeS, since, node });
