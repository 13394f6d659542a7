/**
 * The tables of a page as CSV: one figure to a line, with what it is of. Pure. What a spreadsheet would take for a formula
 * is put in quotes of its own. Source: RFC 4180; OWASP, "CSV Injection".
 */
import type { View } from "./analytics";
import type { Cell, Table } from "./analytics-tables";

const HEAD = ["as_of", "dashboard", "hours", "state", "product", "table", "row", "figure", "value"];

/** `asOf`: Unix seconds. Figures are as the server sent them: not rounded, without units and separators. */
export function csvOf(view: View, asOf: number, tiles: readonly Cell[], tables: readonly Table[]): string {
  const about = [moment(asOf), view.dashboard, String(view.hours), view.state, view.product];
  const lines = [HEAD];
  for (const cell of tiles) lines.push([...about, "figures", "", cell.name, valueOf(cell)]);
  for (const table of tables) {
    for (const row of table.rows) {
      const key = typeof row.key === "number" ? moment(row.key) : row.key;
      for (const cell of row.cells) lines.push([...about, table.key, key, cell.name, valueOf(cell)]);
    }
  }
  return lines.map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

/** What the file is called: what is in it, and of when. */
export function fileName(view: View, asOf: number): string {
  const parts = ["tidewire", view.dashboard, `${view.hours}h`, view.state, view.product, moment(asOf)];
  return `${parts
    .filter((one) => one !== "")
    .join("-")
    .replace(/[^A-Za-z0-9_.-]/g, "")}.csv`;
}

function valueOf(cell: Cell): string {
  if (cell.value === undefined) return "withheld";
  return cell.value === null ? "" : String(cell.value);
}

function field(text: string): string {
  const safe = /^[=+\-@\t\r\n]/.test(text) && !/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function moment(unixS: number): string {
  return new Date(unixS * 1000).toISOString();
}
