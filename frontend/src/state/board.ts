/**
 * A dashboard that is being composed: its widgets, what was changed, what a figure is called. Pure. It must not know the
 * page, the pointer or the server. Limits are those of monitoring/dashboard_model.py, which has the last word.
 */
import type { Board, Draft, Figure, Kind, Widget } from "../socket/dashboards-api";
import { added } from "./grid";

export const WIDGETS_MAX = 24;
export const FIGURES_MAX = 6;

const SIZES: Record<Kind, { w: number; h: number }> = {
  figure: { w: 3, h: 2 },
  chart: { w: 6, h: 3 },
  table: { w: 6, h: 3 },
};

/** The widgets with a new one in the first free place. */
export function withNew(
  widgets: readonly Widget[],
  what: Omit<Widget, "id" | "x" | "y" | "w" | "h">,
): readonly Widget[] {
  const taken = new Set(widgets.map((widget) => widget.id));
  let number = widgets.length + 1;
  while (taken.has(`w${number}`)) number += 1;
  return added(widgets, { ...what, id: `w${number}`, x: 0, y: 0, ...SIZES[what.kind] });
}

export function draftOf(board: Board, widgets: readonly Widget[]): Draft {
  return { name: board.name, shared: board.shared, version: board.version, widgets };
}

/** How many figures a widget of a kind may have. */
export function most(kind: Kind): number {
  return kind === "figure" ? 1 : FIGURES_MAX;
}

/** What a figure is called where it stands: its name in /metrics, without what all have in common. */
export function nameOf(figure: Figure): string {
  const labels = labelText(figure.labels);
  const name = figure.metric.replace(/^tidewire_/, "");
  return labels === "" ? name : `${name} {${labels}}`;
}

/** Labels as people write them: `status="500", node="a"`. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(", ");
}

const LABEL = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*?))\s*(?:,|$)/;

/** Reads labels; null if that is not what they are. Quotes may be left out around a plain value. */
export function readLabels(text: string): Record<string, string> | null {
  const found: Record<string, string> = {};
  let rest = text;
  while (rest.trim() !== "") {
    const match = LABEL.exec(rest);
    if (match === null) return null;
    const [whole, name = "", quoted, plain] = match;
    if (quoted === undefined && (plain ?? "") === "") return null;
    const value = quoted === undefined ? (plain ?? "") : unescaped(quoted);
    if (value === null) return null;
    found[name] = value;
    rest = rest.slice(whole.length);
  }
  return found;
}

function unescaped(quoted: string): string | null {
  try {
    return JSON.parse(`"${quoted}"`) as string;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
