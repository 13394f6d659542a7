import { describe, expect, it } from "vitest";
import { type ChartSpec, type Figure, rowsOf, type SystemMetrics, VitalsHistory } from "../src/state/vitals";

const CONNECTIONS: ChartSpec = { key: "c", name: "connections", by: "sum" };
const LAG: ChartSpec = { key: "l", name: "lag", by: "max" };
const DELIVERED: ChartSpec = { key: "d", name: "delivered", by: "sum", rate: true };
const FAILED: ChartSpec = {
  key: "e",
  name: "responses",
  by: "sum",
  only: (labels) => labels["status"]?.startsWith("5") ?? false,
};
const SPECS = [CONNECTIONS, LAG, DELIVERED, FAILED];

const whole = { complete: true, silent: [], cut_off: "", interval_s: 5, over_s: 30 };

function message(at: Record<string, number>, figures: readonly Figure[], again: readonly Figure[] = []): SystemMetrics {
  const nodes = Object.entries(at).map(([node, when]) => ({
    node,
    instance: `${node}:1`,
    at: when,
    age_s: 0,
    stale: false,
    trouble: "",
  }));
  return { ...whole, nodes, groups: { hub: figures, errors: again } };
}

function figure(name: string, values: (number | null)[], labels?: Record<string, string>): Figure {
  return { name, values, total: null, ...(labels === undefined ? {} : { labels }) };
}

describe("history of figures", () => {
  it("begins with what the servers remember and goes on live", () => {
    const history = new VitalsHistory(SPECS);
    history.add(message({ a: 1020 }, [figure("connections", [4])]));
    const lines = [{ name: "connections", labels: {}, values: [1, 2, null] }];
    history.load({ ...whole, at: 1011, nodes: [{ node: "a", instance: "a:1", times: [1000, 1005, 1010], lines }] });
    history.add(message({ a: 1025 }, [figure("connections", [5])]));
    const chart = history.chart(CONNECTIONS, "");
    expect(chart).toEqual({ times: [1000, 1005, 1010, 1020, 1025], values: [1, 2, null, 4, 5] });
  });

  it("takes a reading once, however often a stale node tells it", () => {
    const history = new VitalsHistory(SPECS);
    for (let n = 0; n < 3; n += 1) history.add(message({ a: 1000 }, [figure("connections", [4])]));
    expect(history.chart(CONNECTIONS, "a:1").times).toEqual([1000]);
  });

  it("adds nodes up, or takes the worst, also when one has just missed a slot", () => {
    const history = new VitalsHistory(SPECS);
    history.add(message({ a: 1000, b: 1004 }, [figure("connections", [1, 10]), figure("lag", [0.1, 0.5])]));
    history.add(message({ a: 1005 }, [figure("connections", [2]), figure("lag", [0.3])]));
    expect(history.chart(CONNECTIONS, "")).toEqual({ times: [1005, 1010], values: [11, 12] });
    expect(history.chart(LAG, "").values).toEqual([0.5, 0.5]);
    expect(history.chart(CONNECTIONS, "a:1").values).toEqual([1, 2]);
  });

  it("makes rates of counters, and no fall of one that began anew", () => {
    const history = new VitalsHistory(SPECS);
    for (const [at, value] of [
      [1000, 100],
      [1005, 150],
      [1010, 4],
      [1015, 14],
    ] as const)
      history.add(message({ a: at }, [figure("delivered", [value])]));
    expect(history.chart(DELIVERED, "").values).toEqual([null, 10, null, 2]);
  });

  it("counts a figure once that is in two groups, and only the labels that are meant", () => {
    const history = new VitalsHistory(SPECS);
    const answers = [
      figure("responses", [7], { status: "200" }),
      figure("responses", [2], { status: "500" }),
      figure("responses", [1], { status: "503" }),
    ];
    history.add(message({ a: 1000 }, answers, answers));
    expect(history.chart(FAILED, "").values).toEqual([3]);
  });

  it("forgets what is older than a quarter of an hour", () => {
    const history = new VitalsHistory(SPECS);
    for (let at = 0; at <= 1000; at += 100) history.add(message({ a: at }, [figure("connections", [at])]));
    expect(history.chart(CONNECTIONS, "a:1").times[0]).toBe(100);
  });
});

describe("rows of nodes", () => {
  it("has a row for each by its name, and one for all if there are several", () => {
    const users: Figure = { name: "users", values: [1, 2], total: 3, per_second: [0, 1], total_per_second: 1 };
    const rows = rowsOf(message({ b: 1, a: 1 }, [users]));
    expect(rows.map((row) => [row.id, row.values.get("users"), row.rates.get("users")])).toEqual([
      ["a:1", 2, 1],
      ["b:1", 1, 0],
      ["total", 3, 1],
    ]);
    expect(rowsOf(message({ a: 1 }, [users]))).toHaveLength(1);
  });
});
