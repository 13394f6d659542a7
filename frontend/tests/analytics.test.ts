import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Figures,
  filtersOf,
  queryOf,
  readHappening,
  receive,
  roomOf,
  type View,
  viewOf,
  withView,
} from "../src/state/analytics";
import { csvOf, fileName } from "../src/state/analytics-csv";
import { isEmpty, tablesOf, tilesOf, timelineOf, timeTable } from "../src/state/analytics-tables";

const ALL: View = { dashboard: "quotes", hours: 24, state: "", product: "" };
const NAMES = ["totals", "statuses", "premium", "states", "timeline"] as const;
const parts = fc.dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 4 }));

test("an address is read back as it was written", () => {
  const view = fc.record({
    dashboard: fc.constantFrom("quotes", "conversion", "performance") as fc.Arbitrary<View["dashboard"]>,
    hours: fc.integer({ min: 1, max: 720 }),
    state: fc.constantFrom("", "CA", "NY"),
    product: fc.constantFrom("", "personal_auto"),
  });
  fc.assert(
    fc.property(view, (given) => {
      const wanted = withView(ALL, given);
      expect(viewOf(queryOf(wanted))).toEqual(wanted);
    }),
  );
});

test("what no filter can be is left out of an address", () => {
  const query = "?dashboard=nothing&hours=1e9&state=CA' OR '1'='1&product=<b>&x=1";
  expect(viewOf(query)).toEqual(ALL);
  for (const hours of ["0", "-1", "721", "1.5", "NaN", ""]) expect(viewOf(`?hours=${hours}`).hours).toBe(24);
});

test("a view's room and filters are those that the server names", () => {
  expect(roomOf(ALL)).toBe("analytics:quotes");
  const view: View = { dashboard: "conversion", hours: 72, state: "CA", product: "personal_auto" };
  expect(roomOf(view)).toBe("analytics:conversion.h72.s-ca.p-personal_auto");
  expect(filtersOf(view)).toEqual({ hours: 72, state: "CA", product: "personal_auto" });
  expect(withView(view, { dashboard: "performance" })).toEqual({ ...ALL, dashboard: "performance", hours: 72 });
  expect(filtersOf(ALL)).toEqual({ hours: 24 });
});

test("a snapshot and the changes after it are every later snapshot", () => {
  fc.assert(
    fc.property(fc.array(parts, { minLength: 1, maxLength: 8 }), fc.nat(5), (states, start) => {
      const [first, ...later] = states as [Record<string, number>, ...Record<string, number>[]];
      const includes = { epoch: "e", offset: start };
      let shown = receive(null, { parts: first, as_of: 1, complete: true, includes }, null);
      let before: Record<string, number> = first;
      let offset = start;
      for (const [i, after] of later.entries()) {
        for (const name of NAMES) {
          if (before[name] === after[name]) continue;
          offset += 1;
          const change = { parts: { [name]: after[name] ?? null }, as_of: i + 2, complete: false };
          shown = receive(shown, change, { epoch: "e", offset });
          // Once more: of a place that has been seen nothing comes twice.
          shown = receive(shown, { ...change, parts: { [name]: 99 } }, { epoch: "e", offset });
        }
        before = after;
        expect(shown?.parts).toEqual(after);
      }
    }),
  );
});

test("what is in the snapshot already, and what comes before one, changes nothing", () => {
  const change = { parts: { totals: { quotes: 1 } }, as_of: 5, complete: false };
  expect(receive(null, change, { epoch: "e", offset: 1 })).toBeNull();
  const figures: Figures = { parts: { totals: { quotes: 2 } }, asOf: 6, place: { epoch: "e", offset: 4 } };
  expect(receive(figures, change, { epoch: "e", offset: 4 })).toBe(figures);
  expect(receive(figures, change, { epoch: "other", offset: 1 })?.parts).toEqual({ totals: { quotes: 1 } });
  expect(receive(figures, { parts: {}, as_of: 9, complete: false }, { epoch: "e", offset: 5 })?.asOf).toBe(9);
  for (const bad of [{}, { parts: [], as_of: 1 }, { parts: {}, as_of: "now" }]) {
    expect(receive(figures, bad, null)).toBe(figures);
  }
});

test("an event without its name or time is none", () => {
  expect(readHappening({ event: "quote_created" })).toBeNull();
  expect(readHappening({ at: 1 })).toBeNull();
  expect(readHappening({ event: "x", at: 1 })).toMatchObject({ event: "x", node: "", skipped: 0, data: {} });
});

const QUOTES = {
  totals: { quotes: 3, customers: 2 },
  statuses: { draft: 1, quoted: 0, bound: 2, expired: 0 },
  premium: { withheld: false, averages: [{ currency: "USD", quotes: 2, average: "1000.50" }] },
  states: { top: [{ state: "CA", quotes: 2, bound: 1 }], others: { states: 1, quotes: 1, bound: 1 } },
  timeline: { from: 3600, step_s: 3600, created: [1, 2], quoted: [0, 0], bound: [0, 2] },
};

test("tables have each figure once, and say where a row leads", () => {
  expect(tilesOf("quotes", QUOTES).map((cell) => [cell.name, cell.value])).toEqual([
    ["quotes", 3],
    ["customers", 2],
    ["average_premium_USD", "1000.50"],
  ]);
  const [statuses, states] = tablesOf("quotes", QUOTES);
  expect(statuses?.rows.map((row) => [row.key, ...row.cells.map((cell) => cell.value)])).toEqual([
    ["draft", 1, 1 / 3],
    ["quoted", 0, 0],
    ["bound", 2, 2 / 3],
    ["expired", 0, 0],
  ]);
  expect(states?.rows.map((row) => [row.key, row.lead])).toEqual([
    ["CA", { state: "CA" }],
    ["others", null],
  ]);
});

test("a withheld premium is told from none", () => {
  expect(tilesOf("quotes", { ...QUOTES, premium: { withheld: true } }).at(-1)?.value).toBeUndefined();
  expect(tilesOf("quotes", { ...QUOTES, premium: { withheld: false, averages: [] } }).at(-1)?.value).toBeNull();
});

test("a chart's table is the chart, newest first", () => {
  const timeline = timelineOf(QUOTES);
  expect(timeline?.times).toEqual([3600, 7200]);
  expect(timeline === null ? [] : timeTable(timeline).rows.map((row) => row.key)).toEqual([7200, 3600]);
  expect(timelineOf({})).toBeNull();
});

test("nothing is empty only where nothing happened either", () => {
  const none = { ...QUOTES, totals: { quotes: 0, customers: 0 } };
  expect(isEmpty("quotes", none)).toBe(false);
  expect(isEmpty("quotes", { ...none, timeline: { from: 0, step_s: 1, created: [0], bound: [0] } })).toBe(true);
  expect(isEmpty("conversion", { funnel: { drafted: 0 } })).toBe(true);
  expect(isEmpty("performance", { api: { count: 0 }, calculations: { count: 1 } })).toBe(false);
});

test("a file has every figure that is shown, as it was sent", () => {
  const timeline = timelineOf(QUOTES);
  const tables = [...tablesOf("quotes", QUOTES), ...(timeline === null ? [] : [timeTable(timeline)])];
  const view = { ...ALL, state: "CA" };
  const lines = csvOf(view, 1_700_000_000, tilesOf("quotes", QUOTES), tables).split("\r\n");
  expect(lines[0]).toBe("as_of,dashboard,hours,state,product,table,row,figure,value");
  expect(lines[1]).toBe("2023-11-14T22:13:20.000Z,quotes,24,CA,,figures,,quotes,3");
  expect(lines).toContain("2023-11-14T22:13:20.000Z,quotes,24,CA,,figures,,average_premium_USD,1000.50");
  expect(lines).toContain("2023-11-14T22:13:20.000Z,quotes,24,CA,,timeline,1970-01-01T02:00:00.000Z,bound,2");
  expect(lines.length).toBe(1 + 3 + 8 + 4 + 6 + 1);
  expect(fileName(view, 1_700_000_000)).toBe("tidewire-quotes-24h-CA-2023-11-14T221320.000Z.csv");
});

test("a file has no formula and no broken line, whatever the words", () => {
  const word = fc.string({
    minLength: 1,
    maxLength: 12,
    unit: fc.constantFrom(..."=+-@\t\r\n\",;'| a1.\u00df\u0000\u202e"),
  });
  fc.assert(
    fc.property(word, (key) => {
      const table = {
        key: "states",
        rows: [{ key, lead: null, cells: [{ name: "n", kind: "count" as const, value: -1 }] }],
      };
      const text = csvOf(ALL, 0, [], [table]);
      const cells = parse(text)[1] ?? [];
      expect(parse(text).length).toBe(2);
      expect(cells.at(-1)).toBe("-1");
      expect(cells[6]).toBe(/^[=+\-@\t\r\n]/.test(key) && !/^-?\d+$/.test(key) ? `'${key}` : key);
    }),
  );
  for (const evil of ["=1+1", "+1", "@SUM(A1)", "-1+cmd|' /C calc'!A0", "\t=1", "\r=1"]) {
    const rows = [{ key: evil, lead: null, cells: [{ name: "n", kind: "count" as const, value: 1 }] }];
    expect(parse(csvOf(ALL, 0, [], [{ key: "states", rows }]))[1]?.[6]).toBe(`'${evil}`);
  }
});

/** Reads RFC 4180. */
function parse(text: string): string[][] {
  const lines: string[][] = [[]];
  let cell = "";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? "";
    if (quoted && char === '"' && text[i + 1] === '"') {
      cell += '"';
      i++;
    } else if (char === '"') quoted = !quoted;
    else if (!quoted && char === ",") {
      lines.at(-1)?.push(cell);
      cell = "";
    } else if (!quoted && char === "\r" && text[i + 1] === "\n") {
      lines.at(-1)?.push(cell);
      cell = "";
      lines.push([]);
      i++;
    } else cell += char;
  }
  return lines.slice(0, -1);
}
