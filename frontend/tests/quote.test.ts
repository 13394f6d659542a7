import { describe, expect, it } from "vitest";

import type { Fields } from "../src/client/event";
import { cut, HOLE_MS, mustReload, NO_QUOTE, type QuoteModel, receive } from "../src/state/quote";
import { missingFields } from "../src/state/quote-missing";
import { readMessage } from "../src/state/quote-wire";

const HEAD = { status: "quoted", created_at: 1, created_by: "ada", updated_at: 2, expires_at: 100 };

function hear(model: QuoteModel, kind: string, fields: Fields, nowMs = 0): QuoteModel {
  const message = readMessage(kind, fields);
  if (message === null) throw new Error(`${kind} was not understood`);
  return receive(model, message, nowMs);
}

function state(version: number, head: Fields = {}, value: string | null = null, revision = 0): Fields {
  const notes = { value, revision, by: null, at: null };
  return { version, quote: { ...HEAD, ...head }, fields: { notes }, editable: true, editors: [] };
}

function edit(version: number, value: string, revision = version, field = "notes"): Fields {
  return { field, value, revision, version, updated_by: "bob", updated_at: version, op_id: `o-${version}` };
}

const notes = (model: QuoteModel): unknown => model.quote?.fields["notes"]?.value;
const open = (): QuoteModel => hear(NO_QUOTE, "quote_state", state(3));

describe("the order of versions", () => {
  it("applies the next one, and ignores what it has", () => {
    let model = hear(open(), "field_update", edit(4, "four"));
    model = hear(model, "field_update", edit(4, "again"));
    model = hear(model, "field_update", edit(2, "old"));
    expect([notes(model), model.quote?.version]).toEqual(["four", 4]);
  });

  it("keeps what came too early until the ones between have come", () => {
    let model = hear(open(), "field_update", edit(6, "six"));
    model = hear(model, "field_update", edit(5, "five"));
    expect([notes(model), model.quote?.version, model.holeSince]).toEqual([null, 3, 0]);
    model = hear(model, "field_update", edit(4, "four"));
    expect([notes(model), model.quote?.version, model.holeSince, model.held.size]).toEqual(["six", 6, null, 0]);
  });

  it("asks for the state when a hole stays, and takes what waits upon it", () => {
    let model = hear(open(), "field_update", edit(6, "six"), 1_000);
    expect(mustReload(model, 1_000 + HOLE_MS - 1)).toBe(false);
    expect(mustReload(model, 1_000 + HOLE_MS)).toBe(true);
    model = hear(model, "quote_state", state(5, {}, "five", 5));
    expect([notes(model), model.quote?.version, mustReload(model, 99_999)]).toEqual(["six", 6, false]);
  });

  it("holds everything before the first state", () => {
    let model = hear(NO_QUOTE, "field_update", edit(4, "four"));
    model = hear(model, "field_update", edit(3, "three"));
    expect(mustReload(model, 99_999)).toBe(false);
    model = hear(model, "quote_state", state(3));
    expect([notes(model), model.quote?.version]).toEqual(["four", 4]);
  });
});

describe("what is not a field", () => {
  it("follows the status, which ends editing", () => {
    const data = { status: "bound", reason: "", expires_at: null };
    const model = hear(open(), "quote_update", {
      update_type: "status",
      version: 4,
      updated_at: 9,
      updated_by: "a",
      data,
    });
    expect([model.quote?.quote.status, model.quote?.quote.expires_at, model.quote?.editable]).toEqual([
      "bound",
      null,
      false,
    ]);
  });

  it("moves the end of a draft with its changes", () => {
    const draft = hear(NO_QUOTE, "quote_state", state(3, { status: "draft", updated_at: 2, expires_at: 102 }));
    expect(hear(draft, "field_update", edit(4, "x")).quote?.quote.expires_at).toBe(104);
  });

  it("counts a withheld premium and shows none", () => {
    const message = { update_type: "premium", version: 4, updated_at: 9, updated_by: "a", data: { withheld: true } };
    const model = hear(open(), "quote_update", message);
    expect(model.quote?.version).toBe(4);
    expect(model.quote?.quote).not.toHaveProperty("premium");
  });

  it("shows a premium, and takes it away with a state that has none", () => {
    const data = { premium: { amount: "12.00" } };
    const message = { update_type: "premium", version: 4, updated_at: 9, updated_by: "a", data };
    const model = hear(hear(NO_QUOTE, "quote_state", state(3, { premium: null })), "quote_update", message);
    expect(model.quote?.quote.premium?.amount).toBe("12.00");
    expect(hear(model, "quote_state", state(4)).quote?.quote).not.toHaveProperty("premium");
  });

  it("knows who is where until they leave or the connection does", () => {
    const who = { connection_id: "c-1", user_id: 2, username: "bob", field: "notes", typing: true };
    let model = hear(open(), "field_focus", who);
    expect([...model.editors.values()].map((one) => one.field)).toEqual(["notes"]);
    expect(cut(model).editors.size).toBe(0);
    model = hear(model, "field_focus", { ...who, field: null });
    expect(model.editors.size).toBe(0);
  });

  it("shows the newest calculation, never a stage after its end", () => {
    const said = (serial: number, stage: string, progress: number, ended = false): Fields => ({
      calculation_id: `k${serial}`,
      serial,
      based_on_version: 3,
      stage,
      progress,
      ended,
    });
    let model = hear(open(), "calculation_progress", said(2, "base", 40));
    model = hear(model, "calculation_progress", said(2, "validate", 20));
    model = hear(model, "calculation_progress", said(1, "total", 99));
    expect([model.progress?.stage, model.progress?.percent]).toEqual(["base", 40]);
    model = hear(model, "calculation_progress", said(2, "failed", 100, true));
    model = hear(model, "calculation_progress", said(2, "total", 100));
    expect(model.progress?.stage).toBe("failed");
    expect(hear(model, "calculation_progress", said(3, "validate", 1)).progress?.serial).toBe(3);
  });
});

it("says what rating still needs, as the server does", () => {
  const specs = [
    { name: "state", needed: true },
    { name: "coverage_liability", needed: false },
    { name: "coverage_medical", needed: false },
    { name: "notes", needed: false },
  ];
  const model = open();
  expect(missingFields(specs, model.quote)).toEqual(["state", "coverage_liability"]);
  const covered = hear(model, "field_update", edit(4, "1000", 1, "coverage_medical"));
  expect(missingFields(specs, covered.quote)).toEqual(["state"]);
});
